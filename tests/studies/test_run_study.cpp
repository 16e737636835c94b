// What is done with any study: it measures, and the rest follows. The study here measures what it is told to.
#include "base/error.hpp"
#include "kernels/isa.hpp"
#include "runs.hpp"
#include "studies/built_in.hpp"
#include "studies/model_arms.hpp"
#include "studies/result_json.hpp"
#include "studies/shown_command.hpp"
#include "studies/studies.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

std::vector<Claim> claims_of(const Manifest&) {
  return {{"C1", "a claim", "tokens at least 1", ""}};
}

// Its one number is a threshold that differs between efforts; its null control fails where the seed is 13.
std::optional<Result> measure(const Manifest& manifest, const Workplace& w) {
  if (w.stop()) return std::nullopt;
  Result r;
  r.facts = {"a fact"};
  r.findings.resize(1);
  r.findings[0].claim = claims_of(manifest)[0];
  Measure m;
  m.name = "tokens", m.value = manifest("tokens"), m.low = 1;
  r.findings[0].measures = {m};
  r.controls = {{"null", false, w.seed != 13, "silent"}};
  return r;
}

const Study kStudy = {"given", "A given study", "nothing", "nothing", claims_of, nullptr, measure};

struct Place : TemporaryFolder {
  Workplace workplace;
  bool stops = false;
  Place() {
    workplace.folder = path(), workplace.table = &kernels::select_table("scalar");
    workplace.stop = [this] { return stops; };
    workplace.say = [](const std::string&) {};
  }
  Path file(const std::string& name, const std::string& text) const {
    write_atomically(real_file_system(), path() / name, text);
    return path() / name;
  }
};

}  // namespace

TEST_CASE("a study's result says what was run, is judged and lies in the folder") {
  const Place place;
  const Manifest manifest = Manifest::of_study("int8");
  const auto result = run_study(kStudy, manifest, place.workplace);
  REQUIRE(result);
  CHECK(result->study == "given");
  CHECK(result->title == "A given study");
  CHECK(result->effort == "quick");
  CHECK(result->manifest_hash == manifest.hash("quick"));
  CHECK_FALSE(result->exploratory);
  CHECK(result->findings[0].verdict == Verdict::reproduced);
  const Result kept = from_json(read_input(place.path() / "given.json"), "f");
  CHECK(kept.findings[0].verdict == Verdict::reproduced);
  CHECK_THAT(read_input(place.path() / "given.md"), Contains("# A given study") && Contains("REPRODUCED"));
}

TEST_CASE("the effort chooses its numbers") {
  Place place;
  const double quick =
      run_study(kStudy, Manifest::of_study("int8"), place.workplace)->findings[0].measures[0].value;
  place.workplace.effort = Effort::full;
  const auto full = run_study(kStudy, Manifest::of_study("int8"), place.workplace);
  CHECK(full->effort == "full");
  CHECK(full->manifest_hash == Manifest::of_study("int8").hash("full"));
  CHECK(full->findings[0].measures[0].value > quick);
}

TEST_CASE("a page says which command makes it, and the folders of one machine stay away") {
  Place place;
  CHECK_THAT(run_study(kStudy, Manifest::of_study("int8"), place.workplace)->facts.front(),
             !Contains("made by"));
  place.workplace.command = {"/usr/bin/loglog", "study",         "run", "given",    "--quick",
                             "--data",          "/data/a b.tok", "-o",  "out/given"};
  const auto result = run_study(kStudy, Manifest::of_study("int8"), place.workplace);
  CHECK(result->facts.front() == "made by `loglog study run given --quick --data 'a b.tok' -o out/given`");
  CHECK_THAT(read_input(place.path() / "given.md"), Contains("* made by `loglog study run given --quick"));
}

TEST_CASE("command lines are shown as one would type them elsewhere") {
  CHECK(shown_command({}).empty());
  CHECK(shown_command({"build/loglog", "--data=/a/b.tok", "--name=x", "c/d.txt", "/"}) ==
        "loglog --data=b.tok --name=x c/d.txt /");
  CHECK(shown_command({"loglog", "it's", "$x", ""}) == "loglog 'it'\\''s' '$x' ''");
}

TEST_CASE("other thresholds make the result EXPLORATORY, on its page too") {
  const Place place;
  std::string text(built_in_config("int8"));
  text.replace(text.find("dims = 6"), 8, "dims = 7");
  const Manifest other = Manifest::read("int8", place.file("m.toml", text));
  CHECK(run_study(kStudy, other, place.workplace)->exploratory);
  CHECK_THAT(read_input(place.path() / "given.md"), Contains("EXPLORATORY"));
}

TEST_CASE("a control that misbehaves takes the verdicts along") {
  Place place;
  place.workplace.seed = 13;
  const auto result = run_study(kStudy, Manifest::of_study("int8"), place.workplace);
  CHECK(result->findings[0].verdict == Verdict::not_testable);
}

TEST_CASE("a study that was stopped leaves no page") {
  Place place;
  place.stops = true;
  CHECK_FALSE(run_study(kStudy, Manifest::of_study("int8"), place.workplace));
  CHECK(std::filesystem::is_empty(place.path()));
}

TEST_CASE("a folder that cannot be written is an error that names it") {
  Place place;
  place.workplace.folder = place.file("taken", "a file");
  CHECK_THROWS_AS(run_study(kStudy, Manifest::of_study("int8"), place.workplace), IoError);
  CHECK_THROWS_WITH(run_study(kStudy, Manifest::of_study("int8"), place.workplace), Contains("taken"));
}

TEST_CASE("models are those of the store, all of them finished and kept") {
  Place place;
  bool goes_on = true;
  const sweep::RunSpec spec = [] {
    sweep::RunSpec s = sweep::test_run(0);
    s.sweep = "int8-quick";
    return s;
  }();
  place.workplace.train = [&](const Training& t) {
    CHECK(read_input(t.sweep_file) == built_in_config("int8-quick"));
    sweep::Store(t.store, sweep::Store::Mode::create).add(std::vector{spec});
    return goes_on;
  };
  CHECK_THROWS_WITH(trained_models(place.workplace, "int8-quick"),
                    Contains("run-0") && Contains("int8-quick.db") && Contains("is queued"));
  {  // finished, and not kept
    sweep::Store store(place.path() / "int8-quick.db", sweep::Store::Mode::write);
    const auto lease = store.acquire("me", 0);
    REQUIRE(store.commit(*lease, sweep::done(2)));
  }
  CHECK_THROWS_WITH(trained_models(place.workplace, "int8-quick"),
                    Contains("is done, and its model was not kept"));
  goes_on = false;
  CHECK_FALSE(trained_models(place.workplace, "int8-quick"));
  CHECK_THROWS_AS(trained_models(place.workplace, "int9-quick"), UsageError);
}
