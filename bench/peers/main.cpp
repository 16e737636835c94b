// bench_peers: our kernels beside OpenBLAS, BLIS and oneDNN, in one process and in turn, against the table of targets.
//
// Benchmarks are no gate: the exit code is 0 when it ran, whatever it measured, and 1 when a library computes something
// else than we do or the run failed; otherwise as loglog's.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "base/error.hpp"
#include "base/file.hpp"
#include "bench/command_line.hpp"
#include "bench/peers/onednn.hpp"
#include "bench/peers/report.hpp"
#include "bench/program.hpp"
#include "bench_commit.hpp"
#include "cli/talk.hpp"
#include "kernels/isa.hpp"
#include "kernels/threads.hpp"

namespace {

using Json = nlohmann::ordered_json;
using namespace loglog::bench;
using loglog::kernels::ladder::SgemmLibrary;

struct Options {
  std::string isa = "auto", json;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  std::vector<std::string> only;
  bool quick = false, processor_time = false;
};

// The libraries may not use instructions that ours are denied by --isa. Plain C++ is compiled to SSE2 on x86; the least
// that they come down to is SSE3 and SSE4.1.
void limit_libraries(const std::string& isa) {
  const std::pair<const char*, const char*> names[] = {{"scalar", "SSE41"},
                                                       {"avx2", "AVX2"},
                                                       {"avx_vnni", "AVX2_VNNI"},
                                                       {"avx512", "AVX512_CORE"},
                                                       {"avx512_vnni", "AVX512_CORE_VNNI"},
                                                       {"avx512_bf16", "AVX512_CORE_BF16"}};
  for (const auto& [ours, theirs] : names)
    if (isa == ours) setenv("ONEDNN_MAX_CPU_ISA", theirs, 1);
#if defined(__x86_64__)
  if (isa == "scalar") setenv("OPENBLAS_CORETYPE", "Prescott", 1);
#endif
}

void add_blas(Session& session) {
  const bool avx2_only = std::string_view(session.table.float32) == "avx2";
  const bool scalar_only = std::string_view(session.table.float32) == "scalar";
  for (const auto& make : {SgemmLibrary::openblas, SgemmLibrary::blis}) {
    const auto blas = make(session.threads, avx2_only);
    if (!blas) continue;
    // It chooses by the CPU alone, so it can only be left out.
    if (scalar_only && std::string_view(blas->name()) == "BLIS" && blas->kernels() != "generic") {
      loglog::cli::talk("BLIS is left out: its kernels, {}, are not scalar\n", blas->kernels());
      continue;
    }
    session.blas.push_back(*blas);
  }
}

double load_average() {
  double load = 0.0;
  return getloadavg(&load, 1) == 1 ? load : -1.0;
}

Json machine_json(const Session& session) {
  std::string cpu;
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; cpu.empty() && std::getline(info, line);)
    if (line.starts_with("model name")) cpu = line.substr(line.find(':') + 2);
  Json peers = Json::object();
  for (const auto& blas : session.blas) peers[blas.name()] = blas.kernels();
#if defined(LOGLOG_PEERS_ONEDNN)
  peers["oneDNN"] = onednn_version();
#endif
  return {{"cpu", cpu},
          {"processors", std::thread::hardware_concurrency()},
          {"isa", session.table.name},
          {"threads", session.threads},
          {"rounds", session.rounds.count},
          {"seconds_per_round", session.rounds.seconds},
          {"clock", session.rounds.processor_time ? "processor time" : "wall"},
          {"compiler", __VERSION__},
          {"flags", LOGLOG_FLAGS},
          {"commit", LOGLOG_COMMIT},
          {"libraries", peers},
          {"load_before", load_average()}};
}

void check_names(const std::vector<std::string>& only) {
  for (const std::string& name : only) {
    const auto& makers = section_makers();
    if (std::none_of(makers.begin(), makers.end(), [&](const SectionMaker& m) { return name == m.id; })) {
      std::string known;
      for (const SectionMaker& m : makers) known += fmt::format("{}{}", known.empty() ? "" : ", ", m.id);
      throw loglog::UsageError(fmt::format("--only {}: there are {}", name, known));
    }
  }
}

int run(const Options& options) {
  check_names(options.only);
  if (options.processor_time && options.threads != 1)
    throw loglog::UsageError("--processor-time measures this thread alone: it goes with --threads 1");
  if (!options.json.empty()) loglog::check_writable(loglog::real_file_system(), options.json);
  limit_libraries(options.isa);
  Session session{
      loglog::kernels::select_table(options.isa),
      loglog::kernels::usable_threads(options.threads),
      options.quick ? Rounds{3, 0.005, options.processor_time} : Rounds{7, 0.02, options.processor_time},
      options.quick,
      {},
      {}};
  add_blas(session);
  Json report = machine_json(session);
  fmt::print("{}\n\n", report.dump());
  report["sections"] = Json::array();
  for (const SectionMaker& maker : section_makers()) {
    if (!options.only.empty() &&
        std::find(options.only.begin(), options.only.end(), maker.id) == options.only.end())
      continue;
    loglog::cli::talk("{}\n", maker.what);
    const Section section = maker.measure(session);
    fmt::print("{}\n", text_of(section));
    if (std::fflush(stdout) != 0) return static_cast<int>(loglog::Exit::failed);  // the caller says why
    report["sections"].push_back(json_of(section));
  }
  report["load_after"] = load_average();
  report["disagreements"] = session.disagreements;
  for (const std::string& who : session.disagreements) fmt::print("WRONG RESULT: {}\n", who);
  if (!options.json.empty()) {
    loglog::write_atomically(loglog::real_file_system(), options.json, report.dump(1) + "\n");
  }
  return session.disagreements.empty() ? 0 : 1;
}

int run_with(int argc, char** argv) {
  Options options;
  if (const char* isa = std::getenv("LOGLOG_ISA")) options.isa = isa;
  CLI::App app("Our kernels beside OpenBLAS, BLIS and oneDNN, against the table of targets");
  app.add_option(
      "--isa", options.isa,
      "ISA of our kernels; libraries are limited to the same instructions (scalar: to SSE), or left out");
  app.add_option("--threads", options.threads, "of everybody")->check(CLI::Range(1, kMostThreads));
  app.add_option("--only", options.only, "sections, with commas: f32,bf16,int8,m1,llm_int8,attention,small")
      ->delimiter(',');
  app.add_option("--json", options.json, "file for everything that was measured")
      ->check([](const std::string& name) { return std::string(name.empty() ? "names no file" : ""); });
  app.add_flag("--processor-time", options.processor_time,
               "on a machine that others use too: leave out the time in which they run; for --threads 1");
  app.add_flag("--quick", options.quick, "fewer shapes and short rounds: a look, no figures to quote");
  return parse_and_run(app, argc, argv, [&] { return run(options); });
}

}  // namespace

// Leaves without the ends of libraries: that of OpenBLAS waits for its threads, which try for ever to get memory where there
// is none.
int main(int argc, char** argv) {
  std::_Exit(loglog::bench::run_program("bench_peers", [&] { return run_with(argc, argv); }));
}
