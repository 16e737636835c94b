// The verb `ladder`: its table and JSON, rungs of the user's own, and what it says when those are wrong.
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;

namespace {

constexpr const char* kSmall = " --size 40,40,40 --repetitions 1 --threads 1 ";

// The verb with a rung whose body is `body`.
Outcome run_with(const TemporaryFolder& folder, const std::string& body, const std::string& options = "") {
  const Path source = folder.path() / "mine.cpp";
  std::ofstream(source)
      << "#include \"loglog_rung.hpp\"\n#include <cstdio>\n#include <cstdlib>\n"
      << "void gemm(Index m, Index n, Index k, const float* a, const float* b, float* c) {\n"
      << body << "\n}\n";
  return run_program(
      folder.path(),
      "--isa scalar ladder gemm" + std::string(kSmall) + options + " --with " + source.string(),
      "TMPDIR=" + folder.path().string());
}

void require_nothing_left(const TemporaryFolder& folder) {
  for (const std::string& name : list_directory(folder.path())) REQUIRE(name == "mine.cpp");
}

constexpr const char* kRight =
    "for (Index i = 0; i < m; ++i) for (Index j = 0; j < n; ++j) { float s = 0;"
    " for (Index p = 0; p < k; ++p) s += a[i * k + p] * b[p * n + j]; c[i * n + j] = s; }";

}  // namespace

TEST_CASE("every ladder prints a table, and the same as JSON") {
  const TemporaryFolder folder;
  for (const std::string kind : {"gemm", "attention", "int8"}) {
    const Outcome text = run_program(folder.path(), "ladder " + kind + kSmall);
    CAPTURE(kind, text.err);
    REQUIRE(text.code == 0);
    REQUIRE_THAT(text.out, Contains("expected") && Contains("threads") && Contains(" 5 "));
    const Outcome json = run_program(folder.path(), "ladder " + kind + " --json" + kSmall);
    REQUIRE(json.code == 0);
    const auto report = nlohmann::json::parse(json.out);
    const auto& size = report["sizes"][0];
    REQUIRE(size["size"] == std::vector<int>{40, 40, 40});
    REQUIRE(size["rungs"].size() >= 6);
    for (const auto& rung : size["rungs"]) {
      REQUIRE((rung.contains("missing") || rung["flops"].get<double>() > 0));
    }
  }
  const Outcome scalar = run_program(folder.path(), std::string("--isa scalar ladder int8") + kSmall);
  REQUIRE_THAT(scalar.out, Contains("needs avx512_vnni or avx_vnni or amx or "));
}

TEST_CASE("wrong arguments are named") {
  const TemporaryFolder folder;
  const Outcome size = run_program(folder.path(), "ladder gemm --size 40,40");
  REQUIRE(size.code == 2);
  REQUIRE_THAT(size.err, Contains("40,40") && Contains("M,N,K"));
  REQUIRE(run_program(folder.path(), "ladder gemm --size 40,0,40").code == 2);
  REQUIRE(run_program(folder.path(), "ladder gemm --size 40,40,40,40").code == 2);
  REQUIRE(run_program(folder.path(), "ladder gemm --size 40,40,x").code == 2);
  const Outcome deep =
      run_program(folder.path(), "ladder int8 --size 8,8,33026");  // its sums might not fit into int32
  REQUIRE(deep.code == 2);
  REQUIRE_THAT(deep.err, Catch::Matchers::Contains("65536,65536,33025"));
  REQUIRE(run_program(folder.path(), "ladder gemm --plot roofline.gif").code == 2);
  const std::string missing = "/nonexistent/p.svg",
                    too_long = folder.path().string() + "/" + std::string(300, 'x') + ".svg";
  for (const auto& [place, code] : {std::pair{missing, 1}, {too_long, 2}}) {
    const Outcome outcome = run_program(folder.path(), "ladder gemm --plot " + place);
    REQUIRE(outcome.code == code);
    REQUIRE(outcome.out.empty());  // nothing was measured
    REQUIRE_THAT(outcome.err, Contains(place));
  }
  REQUIRE(run_program(folder.path(), "ladder gem").code == 2);
  REQUIRE(run_program(folder.path(), std::string("ladder gemm --isa avx9") + kSmall).code == 2);
  REQUIRE(run_program(folder.path(), "ladder gemm --header --isa scalar").code == 0);
  const Outcome option = run_program(folder.path(), "ladder gemm --siz 1,1,1");
  REQUIRE(option.code == 2);
  REQUIRE_THAT(option.err, Contains("unknown option '--siz'; did you mean '--size'?"));
  REQUIRE(run_program(folder.path(), "ladder gemm 1,1,1").code == 2);
}

TEST_CASE("a rung of one's own is tested and timed") {
  const TemporaryFolder folder;
  const Outcome outcome = run_with(folder, std::string("std::puts(\"said by the rung\");") + kRight);
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  REQUIRE_THAT(outcome.out, Contains("mine.cpp") && Contains("of rung") && !Contains("said by"));
  require_nothing_left(folder);
}

TEST_CASE("a rung of one's own that is wrong is told where") {
  const TemporaryFolder folder;
  const Outcome zeros = run_with(folder, "for (Index i = 0; i < m * n; ++i) c[i] = 0;");
  REQUIRE(zeros.code == 1);
  REQUIRE_THAT(zeros.err, Contains("mine.cpp is wrong: C[0,0] is 0, should be"));
  const Outcome beyond = run_with(folder, std::string(kRight) + " c[m * n] = 1;");
  REQUIRE(beyond.code == 1);
  REQUIRE_THAT(beyond.err, Contains("crashed (Segmentation fault") && Contains("on M 1, N 1, K 1"));
  const Outcome input = run_with(folder, std::string(kRight) + " const_cast<float*>(a)[0] = 1;");
  REQUIRE(input.code == 1);
  REQUIRE_THAT(input.err, Contains("writes an input"));
  const Outcome leaves = run_with(folder, "std::exit(3);");
  REQUIRE(leaves.code == 1);
  REQUIRE_THAT(leaves.err, Contains("ended the process with code 3"));
  const Outcome endless = run_with(folder, "for (volatile int i = 0;; i = 1 - i) {}", "--time-limit 1");
  REQUIRE(endless.code == 1);
  REQUIRE_THAT(endless.err, Contains("no end after 1 s") && Contains("--time-limit"));
  require_nothing_left(folder);
}

TEST_CASE("a file that is no rung is told why") {
  const TemporaryFolder folder;
  const Outcome syntax = run_with(folder, "int x = ;");
  REQUIRE(syntax.code == 4);
  REQUIRE_THAT(syntax.err, Contains("does not compile") && Contains("int x = ;"));
  const Outcome compiler = run_with(folder, kRight, "--compiler no-such-compiler");
  REQUIRE(compiler.code == 6);
  REQUIRE_THAT(compiler.err, Contains("no-such-compiler") && Contains("--compiler"));
  std::ofstream(folder.path() / "mine.cpp") << "#include \"loglog_rung.hpp\"\n";
  const Outcome nothing = run_program(
      folder.path(), std::string("ladder gemm --with ") + (folder.path() / "mine.cpp").string() + kSmall);
  REQUIRE(nothing.code == 4);
  REQUIRE_THAT(nothing.err, Contains("defines no function 'gemm'"));
  REQUIRE(run_program(folder.path(), "ladder gemm --with absent.cpp").code == 4);
}

TEST_CASE("a rung of one's own finds no requests on standard input, and may have any name") {
  const TemporaryFolder folder;
  const Outcome reads = run_with(folder, "std::exit(std::getchar() == EOF ? 7 : 9);");
  REQUIRE_THAT(reads.err, Contains("ended the process with code 7"));
  for (const std::string name : {"-dash.cpp", "@at.cpp", "no ending", "mine.txt"}) {
    std::filesystem::rename(folder.path() / "mine.cpp", folder.path() / name);
    const Outcome outcome = run_program(
        folder.path(), "--isa scalar ladder gemm" + std::string(kSmall) + " --with='" + name + "'",
        "cd " + folder.path().string() + " && TMPDIR=" + folder.path().string());
    CAPTURE(name, outcome.err);
    REQUIRE_THAT(outcome.err, Contains("ended the process with code 7"));
    std::filesystem::rename(folder.path() / name, folder.path() / "mine.cpp");
  }
  require_nothing_left(folder);
  const Outcome device = run_program(folder.path(), "ladder gemm --with /dev/zero");
  REQUIRE(device.code == 4);
  REQUIRE_THAT(device.err, Contains("not a regular file"));
  REQUIRE(run_program(folder.path(), "ladder gemm --with ''").code == 2);
  const Outcome absent = run_with(folder, kRight, "--plot ''");
  REQUIRE(absent.code == 2);
}

TEST_CASE("what the system does not give is not blamed on the rung") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "mine.cpp") << "#include \"loglog_rung.hpp\"\n";
  const std::string command = "ladder gemm --with " + (folder.path() / "mine.cpp").string() + kSmall;
  const Outcome absent = run_program(folder.path(), command, "TMPDIR=/nonexistent/folder");
  REQUIRE(absent.code == 1);
  REQUIRE_THAT(absent.err, Contains("/nonexistent/folder"));
  const Outcome silent = run_program(folder.path(), command + " --compiler true");
  REQUIRE(silent.code == 6);
  REQUIRE_THAT(silent.err, Contains("'true' made no rung.so"));
  const Outcome large = run_program(folder.path(), "ladder attention --size 65536,65536,65536");
  REQUIRE(large.code == 6);
  REQUIRE_THAT(large.err, Contains("65536,65536,65536") && Contains("GB of memory"));
}

// Its process lives on when it should end; the time of the check is not its own.
TEST_CASE("a rung of one's own that does not end its process holds nobody up") {
  const TemporaryFolder folder;
  const std::string waits =
      "struct Waits { ~Waits() { for (volatile int i = 0;; i = 1 - i) {} } }; static Waits waits;";
  const Outcome outcome = run_with(folder, waits + kRight, "--time-limit 0.2");
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  REQUIRE_THAT(outcome.out, Contains("mine.cpp"));
  require_nothing_left(folder);
}

TEST_CASE("a signal leaves neither a folder nor a process of a rung of one's own") {
  const TemporaryFolder folder;
  const Path source = folder.path() / "mine.cpp", number = folder.path() / "number";
  std::ofstream(source) << "#include \"loglog_rung.hpp\"\n#include <cstdio>\n#include <unistd.h>\n"
                        << "void gemm(Index, Index, Index, const float*, const float*, float*) {\n"
                        << "std::FILE* f = std::fopen(\"" << number.string() << ".new\", \"w\");"
                        << "std::fprintf(f, \"%d\", static_cast<int>(getpid())); std::fclose(f);"
                        << "std::rename(\"" << number.string() << ".new\", \"" << number.string() << "\");"
                        << "for (volatile int i = 0;; i = 1 - i) {} }\n";
  for (const std::string signal : {"TERM", "KILL", "HUP"}) {
    const std::string command = "TMPDIR=" + folder.path().string() + " " LOGLOG_PROGRAM " ladder gemm" +
                                kSmall + "--time-limit 600 --with " + source.string() +
                                " >/dev/null 2>&1 & " + "until [ -e " + number.string() +
                                " ]; do sleep 0.05; done; kill -" + signal + " $!; wait $!";
    REQUIRE(std::system(("bash -c '" + command + "'").c_str()) != 0);
    const std::string pid = read_text(number);
    std::filesystem::remove(number);
    // A small shell cleans up; it has seen the end of loglog by now or will in a moment.
    const std::string gone = "for i in $(seq 600); do [ -d /proc/" + pid + " ] || [ -n \"$(ls " +
                             folder.path().string() +
                             " | grep loglog-rung)\" ] || exit 0; sleep 0.05; done; exit 1";
    INFO(signal << " " << pid);
    REQUIRE(std::system(gone.c_str()) == 0);
  }
}

TEST_CASE("exercises compile and are wrong, and their solutions are right") {
  const TemporaryFolder folder;
  for (const std::string& name : list_directory("tests/cli/rungs")) {
    const std::string kind = name.substr(0, name.find('_'));
    INFO(name);
    const Outcome open = run_program(
        folder.path(), "ladder " + kind + " --repetitions 1 --with docs/ladder/exercises/" + name);
    REQUIRE(open.code == 1);
    REQUIRE_THAT(open.err, Contains(name + " is wrong: "));
    const Outcome solved = run_program(
        folder.path(), "ladder " + kind + " --size 48,48,48 --repetitions 1 --with tests/cli/rungs/" + name);
    CAPTURE(solved.err);
    REQUIRE(solved.code == 0);
    REQUIRE_THAT(solved.out, Contains(name));
  }
}
