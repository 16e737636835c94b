// What the benchmark programs refuse, and what they say of results that are lost. Nothing here is measured.
#include <sys/wait.h>

#include <cstdlib>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using Catch::Matchers::Contains;

namespace {

struct Outcome {
  int code;
  std::string err;
};

// A line of shell in which $P is bench_peers, $K bench_kernels, $I bench_inference and $F a folder; what is not refused would measure for minutes.
Outcome shell(const std::string& line) {
  const TemporaryFolder folder;
  const std::string err = (folder.path() / "err").string();
  const int status = std::system(("P='timeout 20 " LOGLOG_BENCH_PEERS "'; K='timeout 20 " LOGLOG_BENCH_KERNELS
                                  "'; I='timeout 20 " LOGLOG_BENCH_INFERENCE "'; F=" +
                                  folder.path().string() + "; exec 2>" + err + "; " + line)
                                     .c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(err)};
}

}  // namespace

TEST_CASE("options that nothing could be measured with are exit 2 and named") {
  for (const auto& [line, named] : {std::pair("$P --threads 0", "--threads"),
                                    {"$P --threads 100000", "--threads"},
                                    {"$P --threads two", "--threads"},
                                    {"$P --json ''", "--json"},
                                    {"$P --quik", "--quik"},
                                    {"$P --only f33", "f33"},
                                    {"$P --isa avx9", "avx9"},
                                    {"$K --threads 0", "--threads"},
                                    {"$K --threads 100000", "--threads"},
                                    {"$K --threads 1x", "--threads"},
                                    {"$K --benchmark_filter='('", "--benchmark_filter"},
                                    {"$K --benchmark_filter=no_such_name", "--benchmark_filter"},
                                    {"$I", "MODEL is required"},
                                    {"$I m --threads two", "--threads"},
                                    {"$I m --table f64", "--table"},
                                    {"$I m --rouns 3", "--rouns"},
                                    {"$I m --scheme llm", "llm"},
                                    {"$I m --scheme smoothquant", "smoothquant is calibrated with data"},
                                    {"$I m --isa avx9", "avx9"},
                                    {"touch $F/quantization.json; $I $F", "is quantised"}}) {
    INFO(line);
    const Outcome outcome = shell(std::string(line) + " >/dev/null");
    CHECK(outcome.code == 2);
    CHECK_THAT(outcome.err, Contains(named));
    CHECK(outcome.err.size() < 500);
  }
}

TEST_CASE("a file for the figures that cannot be made is refused before anything is measured") {
  const Outcome outcome = shell("$P --only small --quick --json /nonexistent/x.json >/dev/null");
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Contains("'/nonexistent/x.json'") && !Contains("small"));
}

TEST_CASE("what does not reach standard output is a failure") {
  for (const std::string program : {"$P --help", "$K --benchmark_list_tests"}) {
    INFO(program);
    CHECK(shell(program + " >/dev/null").code == 0);
    for (const char* lost : {" >/dev/full", " >&-"}) {
      const Outcome outcome = shell(program + lost);
      CHECK(outcome.code == 1);
      CHECK_THAT(outcome.err, Contains("standard output"));
    }
  }
}
