// bench_kernels [--isa NAME] [--threads N] [Google Benchmark's options]
//
// Five interleaved repetitions of everything, reported as median with minimum and spread.
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "bench/program.hpp"
#include "bench/suites.hpp"
#include "bench_commit.hpp"
#include "kernels/isa.hpp"

namespace {

struct Options {
  std::string isa = "auto";
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  std::vector<std::string> rest;  // for Google Benchmark
};

Options parse(int argc, char** argv) {
  Options options;
  if (const char* isa = std::getenv("LOGLOG_ISA")) options.isa = isa;
  options.rest = {argv[0], "--benchmark_repetitions=5", "--benchmark_enable_random_interleaving=true",
                  "--benchmark_min_time=0.1", "--benchmark_report_aggregates_only=true"};
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--isa" && i + 1 < argc) {
      options.isa = argv[++i];
    } else if (argument == "--threads" && i + 1 < argc) {
      const std::string_view value = argv[++i];
      const auto result = std::from_chars(value.data(), value.data() + value.size(), options.threads);
      const bool whole = result.ec == std::errc() && result.ptr == value.data() + value.size();
      if (!whole || options.threads < 1 || options.threads > loglog::bench::kMostThreads)
        throw loglog::UsageError(fmt::format("--threads {}: a number from 1 to {} is expected", value,
                                             loglog::bench::kMostThreads));
    } else {
      options.rest.emplace_back(argument);
    }
  }
  return options;
}

int run(int argc, char** argv) {
  Options options = parse(argc, argv);
  const loglog::bench::Machine machine = {loglog::kernels::select_table(options.isa), options.threads};
  loglog::bench::register_peak(machine);
  loglog::bench::register_gemm(machine);
  loglog::bench::register_gemm_packed(machine);
  loglog::bench::register_int8(machine);
  loglog::bench::register_weight_only(machine);
  loglog::bench::register_attention(machine);
  loglog::bench::register_attention_cache(machine);
  loglog::bench::register_rowwise(machine);

  benchmark::AddCustomContext("isa", machine.table.name);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("flags", LOGLOG_FLAGS);
  benchmark::AddCustomContext("commit", LOGLOG_COMMIT);
  std::vector<char*> arguments;
  for (std::string& argument : options.rest) arguments.push_back(argument.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data()))
    return static_cast<int>(loglog::Exit::usage);
  if (benchmark::RunSpecifiedBenchmarks() == 0)  // it has said so, of a pattern that is none too
    throw loglog::UsageError("--benchmark_filter leaves nothing to run (--benchmark_list_tests names all)");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return loglog::bench::run_program("bench_kernels", [&] { return run(argc, argv); });
}
