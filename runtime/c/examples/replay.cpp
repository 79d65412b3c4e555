/* Replays a bundle whose inputs and outputs are f32: every input value is `VALUE`, and outputs are printed. Then shows how an
 * error arrives. Dims that the bundle leaves free have the sizes that are given, or their largest.
 * Usage: replay BUNDLE VALUE [DIM=SIZE]... */
#include "drift.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

int main(int argc, char **argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s BUNDLE VALUE [DIM=SIZE]...\n", argv[0]);
        return 2;
    }
    try {
        auto bundle = drift::bundle::open(argv[1]);
        auto device = drift::device::open_for(bundle);
        auto session = drift::session::load(device, bundle);
        for (int at = 3; at < argc; at++) {
            const std::string given = argv[at];
            const auto end = given.find('=');
            session.set_dim(given.substr(0, end).c_str(), std::strtoull(given.c_str() + end + 1, nullptr, 10));
        }
        for (const auto &dim : session.dims()) {
            std::fprintf(stderr, "%s is %llu\n", dim.name.c_str(), static_cast<unsigned long long>(dim.size));
        }
        for (const auto &input : session.inputs()) {
            session.write(input.name.c_str(), std::vector<float>(input.bytes / sizeof(float), std::atof(argv[2])));
        }
        session.run();
        // Once more without waiting in the call, and a run that is called off.
        session.run_async().get();
        auto run = session.run_async();
        if (!session.cancel()) {
            std::fprintf(stderr, "called off\n");
        }
        for (const auto &output : session.outputs()) {
            for (float value : session.read<float>(output.name.c_str())) {
                std::printf("%.9g\n", value);
            }
        }
        try {
            session.read<float>("no such output");
        } catch (const drift::error &error) {
            std::printf("error %d: %s\n", static_cast<int>(error.status()), error.what());
        }
    } catch (const drift::error &error) {
        std::fprintf(stderr, "error %d: %s\n", static_cast<int>(error.status()), error.what());
        return 1;
    }
    return 0;
}
