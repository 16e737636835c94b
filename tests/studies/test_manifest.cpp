// The thresholds of studies and their hash.
#include "studies/manifest.hpp"

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "studies/built_in.hpp"
#include "studies/studies.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

// The built-in text of a study, with one part replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text(built_in_config("int8"));
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

struct File : TemporaryFolder {
  Path write(const std::string& text) const {
    const Path file = path() / "m.toml";
    write_atomically(real_file_system(), file, text);
    return file;
  }
};

}  // namespace

TEST_CASE("every study has a manifest, whose keys all studies' claims find") {
  for (const Study& study : studies::studies()) {
    Manifest m = Manifest::of_study(study.name);
    CHECK_FALSE(m.exploratory());
    for (const std::string_view effort : kEfforts) {
      CHECK(m.hash(effort).size() == 32);
      m.take_effort(std::string(effort));
      CHECK_FALSE(study.claims(m).empty());
    }
    CHECK_NOTHROW(manifest_of(study));
  }
  CHECK_THROWS_AS(Manifest::of_study("int9"), UsageError);
  CHECK_THROWS_WITH(find_study("int9"), Contains("did you mean 'int8'"));
}

TEST_CASE("an effort's number stands before the general one") {
  Manifest m = Manifest::of_study("int8");
  m.take_effort("quick");
  const double quick = m("tokens");
  m.take_effort("full");
  CHECK(m("tokens") > quick);
  CHECK(m("vector_rise_least") == 0.10);
}

TEST_CASE("a manifest of one's own is exploratory when it says something else") {
  const File file;
  const Manifest official = Manifest::of_study("int8");
  const Manifest same =
      Manifest::read("int8", file.write("# a comment\n" + std::string(built_in_config("int8"))));
  CHECK(same.hash("quick") == official.hash("quick"));
  CHECK_FALSE(same.exploratory());
  const Manifest other =
      Manifest::read("int8", file.write(changed("vector_rise_least = 0.10", "vector_rise_least = 0.05")));
  CHECK(other.exploratory());
  CHECK(other.hash("quick") != official.hash("quick"));
  CHECK(other("vector_rise_least") == 0.05);
}

// What the hash covers is written down here once more: another text gives another one.
TEST_CASE("the hash covers thresholds and the sweeps of the effort") {
  for (const Study& study : studies::studies()) {
    const Manifest m = Manifest::of_study(study.name);
    std::string thresholds;
    for (const auto& [key, value] : m.values()) thresholds += fmt::format("{} = {}\n", key, value);
    for (const std::string_view effort : kEfforts) {
      const std::vector<std::string_view> sweeps = built_in_sweeps(study.name, effort);
      INFO(study.name << " " << effort);
      REQUIRE_FALSE(sweeps.empty());
      std::string text = thresholds;
      for (const std::string_view sweep : sweeps)
        text += fmt::format("{}\n{}", sweep, built_in_config(sweep));
      CHECK(m.hash(effort) == hash_hex(std::as_bytes(std::span(text))));
      CHECK(m.hash(effort) != hash_hex(std::as_bytes(std::span(thresholds))));
    }
    CHECK(m.hash("quick") != m.hash("full"));
  }
  using Names = std::vector<std::string_view>;
  CHECK(built_in_sweeps("outliers", "quick") == Names{"outliers-factors-quick", "outliers-ladder-quick"});
  CHECK(built_in_sweeps("int8", "full") == Names{"int8-full"});
  CHECK(built_in_sweeps("int", "full").empty());
  CHECK(built_in_sweeps("int8", "ull").empty());
}

TEST_CASE("a damaged manifest is refused by file and key") {
  const File file;
  const auto refused = [&](const std::string& text, const char* says) {
    CHECK_THROWS_AS(Manifest::read("int8", file.write(text)), UsageError);
    CHECK_THROWS_WITH(Manifest::read("int8", file.write(text)), Contains("m.toml") && Contains(says));
  };
  refused(changed("dims = 6", ""), "thresholds.dims");
  refused(changed("dims = 6", "dims = 6\ndimms = 7"), "thresholds.dimms");
  refused(changed("dims = 6", "dims = \"six\""), "thresholds.dims must be a finite number");
  refused(changed("dims = 6", "dims = nan"), "thresholds.dims must be a finite number");
  refused(changed("threshold = 6", "threshold = inf"), "thresholds.threshold must be a finite number");
  refused(changed("dims = 6", "dims = ="), "m.toml:");
  refused("x = 1\n" + std::string(built_in_config("int8")), "stands in no table");
  CHECK_THROWS_AS(Manifest::read("int8", file.path() / "absent.toml"), InputError);
}

TEST_CASE("a number that a study cannot work with is refused by key, with what is allowed") {
  const File file;
  const auto refused = [&](const std::string& from, const std::string& to, const char* says) {
    INFO(to);
    const Path path = file.write(changed(from, to));
    CHECK_THROWS_AS(manifest_of(find_study("int8"), path), UsageError);
    CHECK_THROWS_WITH(manifest_of(find_study("int8"), path), Contains("m.toml") && Contains(says));
  };
  const auto taken = [&](const std::string& from, const std::string& to) {
    CHECK_NOTHROW(manifest_of(find_study("int8"), file.write(changed(from, to))));
  };
  refused("scale_two_signed = 128", "scale_two_signed = 100",
          "thresholds.scale_two_signed = 100 must be a power of two from 1 to 128");
  refused("scale_two_signed = 128", "scale_two_signed = 256", "from 1 to 128");  // beyond scale_highest
  refused("scale_one_signed = 64", "scale_one_signed = 0", "from 1 to 128");
  refused("slope_scale_last = 64", "slope_scale_last = 16", "from 32 to 128");
  refused("dims = 6 ", "dims = 300 ", "thresholds.dims = 300 must be a whole number from 1 to 256");
  refused("dims = 6 ", "dims = 1.5 ", "a whole number");
  refused("tokens = 131072", "tokens = -1", "quick.tokens = -1");
  refused("resamples = 40000", "resamples = 0", "full.resamples = 0");
  refused("order_notable = 0.001", "order_notable = -1", "must be a number of at least 0");
  refused("decomposition_rise_falsified = 0.01", "decomposition_rise_falsified = 0.0001", "at least 0.0005");
  taken("scale_two_signed = 128", "scale_two_signed = 64");
  taken("dims = 6 ", "dims = 256 ");
  taken("decomposition_rise_falsified = 0.01", "decomposition_rise_falsified = 0.0005");
  CHECK_THROWS_AS(Manifest::of_study("int8").require({{"dims", 1, 6}}), ContractError);
}
