// A whole night of seconds; the same stopped by TERM and killed in every verb that it runs; what is refused.
#include <sys/wait.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "kernels/isa.hpp"
#include "night/notes.hpp"
#include "support/catch.hpp"
#include "support/program_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using namespace loglog::night;
using Catch::Matchers::Contains;

namespace {

// Words of six letters, some far more often than others: small models soon do better than pairs of letters.
void write_words(const Path& path, std::size_t bytes) {
  constexpr std::uint64_t kWords = 40, kLetters = 6;
  const Rng rng(3, 1);
  std::ofstream out(path);
  std::uint64_t draw = 0;
  for (std::size_t written = 0; written < bytes; written += kLetters + 1) {
    const double u = rng.uniform(1'000'000 + draw++);
    const auto word = static_cast<std::uint64_t>(static_cast<double>(kWords) * u * u);
    for (std::uint64_t k = 0; k < kLetters; ++k)
      out << static_cast<char>('a' + rng.below(word * kLetters + k, 26));
    out << (draw % 12 == 0 ? '\n' : ' ');
  }
}

std::string without(std::string text, const std::string& part) {
  for (std::size_t at = 0; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
  return text;
}

// A night whose timing is given, so that its plan does not depend on how busy the machine is.
void begin(const Path& folder, const Path& text, double hours = 0.02) {
  std::filesystem::create_directories(folder);
  begin_night({{text.native()}, "bytes", hours}, folder);
  sweep::Store store(folder / kStore, sweep::Store::Mode::write);
  Json rates = Json::array();
  for (const Rung& rung : size_ladder(256, 64))
    rates.push_back({{"size", rung.name}, {"N", rung.N}, {"tokens_per_s", 1.25e9 / rung.flops_per_token}});
  save_note(store, "timing", {{"rates", rates}, {"processors", 2}});
}

int run_words(const std::string& before, const std::vector<std::string>& words) {
  std::string line = before + " " LOGLOG_PROGRAM;
  for (const std::string& word : words) line += " '" + word + "'";
  return WEXITSTATUS(std::system((line + " >/dev/null 2>&1").c_str()));
}

// Verbs are stopped by TERM at their first attempt and killed at the second, if they last so long.
struct Interrupted {
  std::map<std::string, int> attempts;
  int stopped = 0, killed = 0;

  bool operator()(const std::vector<std::string>& words) {
    std::string key;
    for (const std::string& word : words) key += word + " ";
    const int attempt = attempts[key]++;
    if (attempt == 0 && run_words("timeout -s TERM 0.3", words) != 0) return ++stopped, false;
    if (attempt == 0) return true;
    if (attempt == 1 && run_words("timeout -s KILL 1.2", words) != 0) return ++killed, false;
    if (attempt == 1) return true;
    REQUIRE(run_words("", words) == 0);
    return true;
  }
};

void go_on_to_the_end(const Path& folder, const std::function<bool(const std::vector<std::string>&)>& verb) {
  const Tools tools{folder, kernels::select_table("auto"), 2,
                    verb,   [](const std::string&) {},     [] { return false; }};
  for (int i = 0; i < 100; ++i)
    if (go_on(tools, Until::end) == NightEnd::done) return;
  FAIL("the night does not end");
}

}  // namespace

TEST_CASE("a night that is stopped and killed in every phase has the results of one that is not") {
  const ProgramFolder f;
  write_words(f.at("words.txt"), 1'500'000);
  begin(f.at("calm"), f.at("words.txt"));
  begin(f.at("restless"), f.at("words.txt"));
  REQUIRE(f.run("night " + f.at("calm")).code == 0);
  Interrupted interrupted;
  go_on_to_the_end(f.at("restless"), std::ref(interrupted));
  CHECK(interrupted.stopped >= 3);
  CHECK(interrupted.killed >= 1);

  const auto table = [&](const std::string& night) {
    const Outcome exported = f.run("sweep export " + f.at(night) + "/night.db --no-timing");
    REQUIRE(exported.code == 0);
    return without(exported.out, f.at(night));
  };
  const std::string calm = table("calm");
  CHECK_THAT(calm, Contains("tuning") && Contains("noise") && Contains("fitted") && Contains("far"));
  CHECK(calm == table("restless"));
  CHECK(read_text(f.at("calm/predictions.jsonl")) == read_text(f.at("restless/predictions.jsonl")));
  CHECK(summary_text(f.at("calm")) == summary_text(f.at("restless")));

  SECTION("what was foretold was registered before it was trained, and scored") {
    const auto scores = nlohmann::json::parse(read_text(f.at("calm/scores.json")));
    CHECK(scores["reached"] == 3);
    for (const auto& run : scores["files"][0]["runs"]) CHECK(run["registered"] == true);
    CHECK_THAT(summary_text(f.at("calm")), Contains("of 3 inside") && Contains("times that of the rule"));
  }
  SECTION("a night that is done does nothing more, and says again what it found") {
    const Outcome again = f.run("night " + f.at("calm"));
    CHECK(again.code == 0);
    CHECK_THAT(again.out, Contains("of 3 inside") && Contains("report.html"));
    CHECK(table("calm") == calm);
  }
  SECTION("no run sees its text twice") {
    const sweep::Store store(f.at("calm/night.db"), sweep::Store::Mode::read);
    for (const sweep::RunRow& run : store.runs())
      CHECK(nlohmann::json::parse(run.end).at("epochs").get<double>() <= 1.0001);
  }
}

TEST_CASE("a night that is killed takes its children along, and can go on") {
  const ProgramFolder f;
  write_words(f.at("words.txt"), 1'500'000);
  begin(f.at("n"), f.at("words.txt"), 0.2);
  // The sweep takes longer than the three seconds that its processes have to be gone.
  const std::string fitted = "pgrep -f 'sweep run " + f.at("n") + "/fitted.toml' >/dev/null",
                    any = "pgrep -f 'sweep (run|worker) " + f.at("n") + "' >/dev/null";
  const std::string script = LOGLOG_PROGRAM " night " + f.at("n") + " >/dev/null 2>&1 & p=$!\n" +
                             "for i in $(seq 1000); do " + fitted + " && break; sleep 0.1; done\n" + fitted +
                             " || exit 1\nsleep 0.5\nkill -9 $p\nsleep 3\n" + any + " && exit 2\nexit 0\n";
  std::ofstream(f.at("kill.sh")) << script;
  CHECK(WEXITSTATUS(std::system(("sh " + f.at("kill.sh")).c_str())) == 0);
  const Outcome planned = f.run("night " + f.at("n") + " --plan");
  CHECK(planned.code == 0);
  CHECK_THAT(planned.out, Contains("FLOPs, then trained"));
}

TEST_CASE("what a night cannot be is refused, and says what would do") {
  const ProgramFolder f;
  write_words(f.at("short.txt"), 60'000);
  const Outcome refused = f.run("night " + f.at("short.txt") + " --hours 0.02 -o " + f.at("n"));
  CHECK(refused.code == 6);
  CHECK_THAT(refused.err, Contains("the least night needs"));
  const Outcome other = f.run("night " + f.at("short.txt") + " --hours 3 -o " + f.at("n"));
  CHECK(other.code == 2);
  CHECK_THAT(other.err, Contains("holds another night"));
  CHECK(f.run("night " + f.at("short.txt")).code == 2);
  CHECK(f.run("night " + f.at("absent.txt") + " --hours 1 -o " + f.at("m")).code == 4);
  CHECK_FALSE(path_exists(f.at("m")));
  std::filesystem::create_directories(f.at("empty"));
  const Outcome empty = f.run("night " + f.at("empty"));
  CHECK(empty.code == 2);
  CHECK_THAT(empty.err, Contains("holds no night"));
}
