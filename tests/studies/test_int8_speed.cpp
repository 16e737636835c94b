// Verdicts on speed from times that are made by hand, and a measurement of two narrow layers.
#include "studies/int8_speed.hpp"

#include "base/rng.hpp"
#include "kernels/isa.hpp"
#include "studies/built_in.hpp"
#include "studies/quick_manifest.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

Manifest manifest() {
  return quick_manifest("int8");
}

// Fifteen rounds around 1 ms over each ratio in float32 and bfloat16, with so much noise.
Int8Speed speed(const std::vector<double>& ratios, double noise = 0.01) {
  Int8Speed s{"fake", 512, 6, {}};
  kernels::Index width = 64;
  for (const double ratio : ratios) {
    WidthTimes t{width, {}, {}, {}};
    const Rng rng(static_cast<std::uint64_t>(width), 1);
    for (std::uint64_t i = 0; i < 15; ++i) {
      t.f32.push_back(ratio * (1 + noise * rng.uniform(3 * i)));
      t.bf16.push_back(ratio * (1 + noise * rng.uniform(3 * i + 1)));
      t.int8.push_back(1 + noise * rng.uniform(3 * i + 2));
    }
    s.widths.push_back(std::move(t));
    width *= 2;
  }
  return s;
}

using OfSpeed = Finding (*)(Claim, const Int8Speed&, const Manifest&);

Verdict verdict(OfSpeed claim, const Int8Speed& s) {
  std::vector<Finding> all = {claim({"C"}, s, manifest())};
  judge(all, {{"planted", true, true, "found"}});
  return all[0].verdict;
}

}  // namespace

TEST_CASE("int8 that is faster where layers are wide pays, and more so there") {
  const Int8Speed s = speed({0.5, 1, 2, 3});
  CHECK(verdict(pays, s) == Verdict::reproduced);
  CHECK(verdict(pays_more, s) == Verdict::reproduced);
  const Measure m = pays({"C"}, s, manifest()).measures.at(0);
  CHECK(m.value == Approx(3).epsilon(0.02));
  CHECK_THAT(m.name, Contains("width 512"));
  CHECK(pays_more({"C"}, s, manifest()).measures.at(0).value == Approx(6).epsilon(0.04));
}

TEST_CASE("int8 that is slower everywhere is CONTRADICTED, even where it catches up") {
  CHECK(verdict(pays, speed({0.5, 0.5, 0.5})) == Verdict::contradicted);
  CHECK(verdict(pays_more, speed({0.5, 0.5, 0.5})) == Verdict::not_at_this_scale);
  CHECK(verdict(pays, speed({0.3, 0.5, 0.8})) == Verdict::contradicted);
  CHECK(verdict(pays_more, speed({0.3, 0.5, 0.8})) == Verdict::reproduced);
  CHECK(verdict(pays_more, speed({3, 2, 1.5})) == Verdict::contradicted);
}

TEST_CASE("as fast is no effect, and noise decides nothing") {
  CHECK(verdict(pays, speed({0.5, 1})) == Verdict::not_at_this_scale);
  CHECK(verdict(pays, speed({0.5, 1}, 3)) == Verdict::underpowered);
}

TEST_CASE("the crossover is where int8 is faster from then on") {
  const auto at = [](const std::vector<double>& ratios) {
    return crossover(speed(ratios, 0).widths, &WidthTimes::f32);
  };
  CHECK(at({2, 3}) == "below 64");
  CHECK(at({1, 2}) == "about 64");  // as fast is not faster
  CHECK(at({0.5, 0.9}) == "above 128");
  CHECK(at({0.5, 2}) == "about 91");         // halfway on both axes: 64 sqrt(2)
  CHECK(at({2, 0.5, 2, 3}) == "about 181");  // once slower again: 128 sqrt(2)
  CHECK(at({0.5, 1, 2}) == "about 128");
  CHECK(at({2, 3, 0.5}) == "above 256");
}

TEST_CASE("every table of kernels with vectors is measured, the workplace's first") {
  const TemporaryFolder folder;
  std::string text(built_in_config("int8"));
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{"speed_width_last = 4096", "speed_width_last = 128"},
        {"speed_rows = 512", "speed_rows = 8"},
        {"speed_rounds = 7", "speed_rounds = 3"}}) {
    const std::size_t where = text.find(from);
    REQUIRE(where != std::string::npos);
    text.replace(where, from.size(), to);
  }
  write_atomically(real_file_system(), folder.path() / "m.toml", text);
  Manifest m = Manifest::read("int8", folder.path() / "m.toml");
  m.take_effort("quick");
  Workplace w;
  w.table = &kernels::select_table("scalar");
  w.say = [](const std::string&) {};
  w.stop = [] { return false; };
  const auto speeds = measure_int8_speed(w, m);
  REQUIRE(speeds);
  CHECK(speeds->front().isa == "scalar");
  for (const Int8Speed& s : *speeds) {
    REQUIRE(s.widths.size() == 2);
    CHECK(s.widths.back().width == 128);
    for (const WidthTimes& t : s.widths)
      for (const auto* times : {&t.f32, &t.bf16, &t.int8}) {
        CHECK(times->size() == 3);
        for (const double ms : *times) CHECK(ms > 0);
      }
    CHECK(s.table().rows.size() == 2);
  }
  CHECK(crossover_table(*speeds).rows.size() == speeds->size());
  CHECK_THAT(crossover_table(*speeds).note, Contains("8 rows") && Contains("6 outlier channels") &&
                                                Contains("int8 is faster at every larger one"));
  w.stop = [] { return true; };
  CHECK_FALSE(measure_int8_speed(w, m));
}
