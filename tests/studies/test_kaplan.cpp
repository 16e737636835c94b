// The study of scaling laws from its parts of the text to its page, on runs of a few steps.
#include "small_study.hpp"
#include "studies/format.hpp"
#include "studies/page.hpp"
#include "studies/result_json.hpp"

using namespace loglog;
using namespace loglog::studies;
using namespace loglog::testing;
using Catch::Contains;

namespace {

Manifest small_manifest() {
  return manifest_with("kaplan", {{"resamples = 4000", "resamples = 100"},
                                  {"unique_tokens = 4e6", "unique_tokens = 30000"},
                                  {"validation_tokens = 262144", "validation_tokens = 3000"},
                                  {"world_tokens = 2.4e6", "world_tokens = 30000"},
                                  {"unique_first = 100", "unique_first = 1"}});
}

std::string shrunk(std::string sweep) {
  const auto of = [&](const char* name) { return sweep.find(name) != std::string::npos; };
  if (of("kaplan-size"))
    return replaced(std::move(sweep), {{"tokens = [3e6]", "tokens = [6000]"},
                                       {"val_share = 0.0615052", "val_share = 0.0909091"},
                                       {"tokens = 262144", "tokens = 3000"}});
  if (of("kaplan-data")) {
    std::vector<Replacement> all = {{"tokens = 65536", "tokens = 3000"}, {"every = 100", "every = 2"}};
    const char* tokens[] = {"[1e6]", "[1e6]", "[1e6, 3e6]", "[3e6]", "[3e6]"};
    for (int i = 0; i < 5; ++i) {
      const int k = 1 << i;
      const std::string arm = fmt::format("[arm.unique-{}00k]", k), own = fmt::format("[arm.unique-{}k]", k);
      all.push_back({arm + "\ntokens = " + tokens[i], own + "\ntokens = [4000]"});
      const double share = 262144.0 / (k * 100000 + 262144.0);
      all.push_back({fmt::format("data.val_share = {:.7f}", share),
                     fmt::format("data.val_share = {:.7f}", 3.0 / (k + 3))});
    }
    return replaced(std::move(sweep), all);
  }
  if (of("kaplan-planted"))
    return replaced(std::move(sweep), {{"[5e5, 7e5, 1e6, 1.4e6, 2e6]", "[1000, 2000, 4000]"}});
  if (of("kaplan-null")) return replaced(std::move(sweep), {{"tokens = [1e6]", "tokens = [4000]"}});
  return replaced(std::move(sweep), {{"flops = 2e11", "flops = 1e9"},
                                     {"flops = 6e11", "flops = 3e9"},
                                     {"flops = 2e12", "flops = 9e9"},
                                     {"tokens = 262144", "tokens = 3000"},
                                     {"max(D, 3e6)", "max(D, 3e4)"},
                                     {"2e5 / D", "2e2 / D"},
                                     {"rules.batch = \"8\"", "rules.batch = \"2\""}});
}

Workplace workplace() {
  return small_workplace(trained_run(), "kaplan", shrunk);
}

const Result& result() {
  static const Result r = judged_result("kaplan", small_manifest(), workplace());
  return r;
}

}  // namespace

TEST_CASE("every claim has a verdict and either a reason or measures") {
  REQUIRE(result().findings.size() == 5);
  for (const Finding& f : result().findings) {
    INFO(f.claim.id << " " << f.why);
    CHECK_FALSE(f.why.empty());
    CHECK((f.untestable.empty() ? !f.measures.empty() : f.verdict == Verdict::not_testable));
  }
  CHECK(result().controls.size() == 2);
}

TEST_CASE("every part of the text was trained on, and the page comes back from its file") {
  const std::string page = markdown(result(), "p");
  for (const int k : {1, 2, 4, 8, 16})
    CHECK_THAT(page, Contains(fmt::format("{} unique tokens: 3 runs of 3 sizes", number(1000.0 * k))));
  CHECK_THAT(page, Contains("sizes: 10 runs of 6 sizes") && Contains("rows: 18 runs") &&
                       Contains("rows under Kaplan's conditions: 18 runs"));
  CHECK_THAT(page, Contains("vocabulary 4096"));
  CHECK(markdown(from_json(to_json(result()), "f"), "p") == page);
}

TEST_CASE("a stop ends it without a result") {
  result();
  Workplace w = workplace();
  w.train = [](const Training&) { return false; };
  CHECK_FALSE(find_study("kaplan").run(small_manifest(), w));
}
