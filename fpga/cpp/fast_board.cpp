// SPDX-License-Identifier: Apache-2.0
// The emulator behind plain C functions: a host at its buses, without a link between.

#include <cstdint>
#include <deque>
#include <vector>

#include "Vemulator.h"
#include "verilated.h"

// Verilator writes the second of two underscores as a code.
#define PIN(port, name) top.port##___05F##name

namespace {

struct Beat {
    uint64_t data;
    bool last;
};

// An AXI access takes a few cycles, or as long as the operation that a tile executes.
constexpr uint64_t kLongestAccess = 1u << 24;

struct Board {
    VerilatedContext context;
    Vemulator top{&context};
    std::deque<Beat> examples;
    std::deque<uint16_t> goals;
    std::deque<uint32_t> results;
    uint64_t cycles = 0;

    Board() {
        top.rst = 1;
        PIN(results, tready) = 1;
        cycle();
        cycle();
        top.rst = 0;
    }

    // One clock cycle; inputs that were set before it hold during it.
    void cycle() {
        const bool example = !examples.empty(), goal = !goals.empty();
        PIN(examples, tvalid) = example;
        if (example) {
            PIN(examples, tdata) = examples.front().data;
            PIN(examples, tlast) = examples.front().last;
        }
        PIN(goals, tvalid) = goal;
        if (goal) PIN(goals, tdata) = goals.front();
        top.clk = 0;
        top.eval();
        if (example && PIN(examples, tready)) examples.pop_front();
        if (goal && PIN(goals, tready)) goals.pop_front();
        if (PIN(results, tvalid)) results.push_back(PIN(results, tdata));
        aw = PIN(bus, awready), w = PIN(bus, wready), ar = PIN(bus, arready);
        b = PIN(bus, bvalid), r = PIN(bus, rvalid);
        error = b ? PIN(bus, bresp) : PIN(bus, rresp);
        data = PIN(bus, rdata);
        top.clk = 1;
        top.eval();
        ++cycles;
    }

    // 0 is fine, 1 an error of the bus, 2 no answer.
    int access(uint32_t address, uint32_t* word, bool write) {
        PIN(bus, awaddr) = PIN(bus, araddr) = address;
        PIN(bus, awvalid) = PIN(bus, wvalid) = write;
        PIN(bus, arvalid) = !write;
        PIN(bus, wdata) = *word;
        PIN(bus, wstrb) = 15;
        PIN(bus, bready) = write;
        PIN(bus, rready) = !write;
        for (uint64_t n = 0; n < kLongestAccess; ++n) {
            cycle();
            if (aw) PIN(bus, awvalid) = 0;
            if (w) PIN(bus, wvalid) = 0;
            if (ar) PIN(bus, arvalid) = 0;
            if (write ? b : r) {
                PIN(bus, bready) = PIN(bus, rready) = 0;
                if (!write) *word = data;
                return error ? 1 : 0;
            }
        }
        return 2;
    }

    bool aw = false, w = false, ar = false, b = false, r = false, error = false;
    uint32_t data = 0;
};

}  // namespace

extern "C" {

Board* board_new() { return new Board; }

void board_delete(Board* board) { delete board; }

// Writes or reads n words; returns how many were fine. *fault says why it ended early.
uint64_t board_access(Board* board, const uint32_t* addresses, uint32_t* words, uint64_t n,
                      int write, int* fault) {
    for (uint64_t i = 0; i < n; ++i) {
        *fault = board->access(addresses[i], &words[i], write != 0);
        if (*fault) return i;
    }
    return n;
}

// Queues n beats of a packet of the example stream.
void board_example(Board* board, const uint64_t* beats, uint64_t n) {
    for (uint64_t i = 0; i < n; ++i) board->examples.push_back({beats[i], i + 1 == n});
}

void board_goals(Board* board, const uint16_t* goals, uint64_t n) {
    board->goals.insert(board->goals.end(), goals, goals + n);
}

// Runs until there are `wanted` results, for at most `most` cycles; returns how many results.
uint64_t board_run(Board* board, uint64_t wanted, uint64_t most) {
    const uint64_t end = board->cycles + most;
    while (board->results.size() < wanted && board->cycles < end) board->cycle();
    return board->results.size();
}

// Takes up to n results.
uint64_t board_results(Board* board, uint32_t* words, uint64_t n) {
    uint64_t i = 0;
    for (; i < n && !board->results.empty(); ++i) {
        words[i] = board->results.front();
        board->results.pop_front();
    }
    return i;
}

// Forgets what waits in the queues.
void board_flush(Board* board) {
    board->examples.clear();
    board->goals.clear();
    board->results.clear();
}

uint64_t board_cycles(const Board* board) { return board->cycles; }

}  // extern "C"
