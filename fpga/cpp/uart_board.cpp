// SPDX-License-Identifier: Apache-2.0
// A board in a program: the complete design, its serial pins on a pseudo-terminal.
//
//   board LINK CYCLES_PER_BIT QUIET [IMAGE]
//
// QUIET is how many cycles pass after the last byte: the host asks again long before. IMAGE is what
// the flash memory holds from 128 KiB on, for a design that has one (compiled with FLASH).
//
// LINK becomes a symbolic link to the terminal. SIGUSR1 unplugs the cable and plugs it in again
// after half a second (the terminal goes, a new one comes); SIGUSR2 presses the reset button. Ends
// when its standard input does. Time passes while the host talks, and for a while after that.

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

// Cycles between two looks at the terminal.
constexpr int kSlice = 1000;
constexpr int kUnpluggedMs = 500;
// Cycles that a design has to begin.
constexpr int kBegin = 10'000'000;

volatile std::sig_atomic_t unplug = 0, press = 0;

void fail(const char* what) {
    perror(what);
    exit(1);
}

// A pseudo-terminal under a name that stays.
class Terminal {
public:
    explicit Terminal(std::string link) : link_(std::move(link)) { plug(); }

    void plug() {
        master_ = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
        if (master_ < 0 || grantpt(master_) || unlockpt(master_)) fail("pseudo-terminal");
        const char* name = ptsname(master_);
        slave_ = open(name, O_RDWR | O_NOCTTY);  // kept: bytes wait for the host
        if (slave_ < 0) fail(name);
        termios raw;
        tcgetattr(slave_, &raw);
        cfmakeraw(&raw);
        tcsetattr(slave_, TCSANOW, &raw);
        const std::string fresh = link_ + ".new";
        unlink(fresh.c_str());
        if (symlink(name, fresh.c_str()) || rename(fresh.c_str(), link_.c_str())) {
            fail(link_.c_str());
        }
    }

    void unplug() {
        unlink(link_.c_str());
        close(slave_);
        close(master_);
        out_.clear();
    }

    // Takes what the host sent.
    void take(std::deque<uint8_t>& into) {
        uint8_t buffer[4096];
        const ssize_t n = ::read(master_, buffer, sizeof buffer);
        if (n > 0) into.insert(into.end(), buffer, buffer + n);
    }

    void send(uint8_t byte) { out_.push_back(byte); }

    void flush() {
        if (out_.empty()) return;
        const ssize_t n = ::write(master_, out_.data(), out_.size());
        if (n > 0) out_.erase(0, n);
    }

    int descriptor() const { return master_; }

private:
    std::string link_, out_;
    int master_ = -1, slave_ = -1;
};

// A byte on its way to the pin, and from it: 8N1.
class Line {
public:
    explicit Line(double cycles_per_bit) : bit_(cycles_per_bit) {}

    // Level of rx in this cycle.
    bool rx(std::deque<uint8_t>& bytes) {
        if (sent_ == 10) {
            if (bytes.empty()) return true;
            frame_ = bytes.front() << 1 | 0x200;
            bytes.pop_front();
            sent_ = 0;
            edge_ += bit_;
        }
        const bool level = frame_ >> sent_ & 1;
        if ((edge_ -= 1) < 1) {
            if (++sent_ < 10) edge_ += bit_;
        }
        return level;
    }

    // True if the pin has completed a byte.
    bool tx(bool level, uint8_t& byte) {
        if (got_ < 0) {
            if (level) return false;
            got_ = 0;
            middle_ = 1.5 * bit_;
        }
        if ((middle_ -= 1) > 0) return false;
        middle_ += bit_;
        if (got_ < 8) {
            shift_ = shift_ >> 1 | level << 7;
            ++got_;
            return false;
        }
        got_ = -1;
        byte = shift_;
        return level;  // without a stop bit it is no byte
    }

    bool idle() const { return sent_ == 10 && got_ < 0; }

private:
    const double bit_;
    double edge_ = 0, middle_ = 0;
    int sent_ = 10, got_ = -1;
    unsigned frame_ = 0, shift_ = 0;
};

#ifdef FLASH
// A flash memory that is read (03h): takes a bit when its clock rises, says one when it falls.
class Flash {
public:
    explicit Flash(const char* path) {
        FILE* file = fopen(path, "rb");
        if (!file) fail(path);
        for (int byte; (byte = fgetc(file)) != EOF;) image_.push_back(byte);
        fclose(file);
    }

    void clock(Vtop& top) {
        if (!top.flash___05Fcs) {
            bits_ = 0;
            head_ = 0;
        } else if (top.flash___05Fclk && !before_) {
            if (bits_ < 32) head_ = head_ << 1 | top.flash___05Fcopi;
            ++bits_;
        } else if (!top.flash___05Fclk && before_ && bits_ >= 32 && head_ >> 24 == 3) {
            const size_t at = (head_ & 0xFFFFFF) - kImage + (bits_ - 32) / 8;
            const uint8_t byte = at < image_.size() ? image_[at] : 0xFF;
            top.flash___05Fcipo = byte >> (7 - (bits_ - 32) % 8) & 1;
        }
        before_ = top.flash___05Fclk;
    }

private:
    static constexpr uint32_t kImage = 1u << 17;
    std::string image_;
    uint64_t bits_ = 0;
    uint32_t head_ = 0;
    bool before_ = false;
};
#endif

}  // namespace

int main(int argc, char** argv) {
#ifdef FLASH
    constexpr int kArguments = 5;
#else
    constexpr int kArguments = 4;
#endif
    if (argc != kArguments) {
        fprintf(stderr, "usage: board LINK CYCLES_PER_BIT QUIET [IMAGE]\n");
        return 2;
    }
    signal(SIGUSR1, [](int) { unplug = 1; });
    signal(SIGUSR2, [](int) { press = 1; });
    signal(SIGPIPE, SIG_IGN);
    VerilatedContext context;
    Vtop top{&context};
    Terminal terminal(argv[1]);
    Line line(atof(argv[2]));
    const uint64_t most_quiet = strtoull(argv[3], nullptr, 10);
#ifdef FLASH
    Flash flash(argv[4]);
#endif
    std::deque<uint8_t> bytes;
    uint64_t quiet = 0;
    int reset = 4;
    const auto cycle = [&](bool rx) {
        top.rst = reset > 0;
        if (reset) --reset;
        top.rx = rx;
#ifdef FLASH
        flash.clock(top);
#endif
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    };
    // A design that loads its program from the flash memory is busy for as long; the host does not
    // talk then.
    const auto begin = [&] {
        reset = 4;
        for (int i = 0; i < kBegin && (reset || top.busy); ++i) cycle(true);
    };
    begin();
    printf("ready\n");
    fflush(stdout);

    for (;;) {
        if (unplug) {
            unplug = 0;
            terminal.unplug();
            bytes.clear();
            usleep(1000 * kUnpluggedMs);
            terminal.plug();
        }
        if (press) {
            press = 0;
            begin();
        }
        if (bytes.size() < 4096) terminal.take(bytes);
        const bool asleep = bytes.empty() && line.idle() && quiet > most_quiet;
        pollfd watched[2] = {{0, POLLIN, 0}, {terminal.descriptor(), POLLIN, 0}};
        if (poll(watched, 2, asleep ? 100 : 0) > 0 && watched[0].revents) {
            char ignored[64];
            if (::read(0, ignored, sizeof ignored) <= 0) return 0;
        }
        if (asleep && !(watched[1].revents & POLLIN)) continue;
        for (int i = 0; i < kSlice; ++i) {
            cycle(line.rx(bytes));
            uint8_t byte;
            ++quiet;
            if (line.tx(top.tx, byte)) {
                terminal.send(byte);
                quiet = 0;
            }
            if (!line.idle()) quiet = 0;
        }
        terminal.flush();
    }
}
