// The numbers that claims on int8 are judged by, from models whose losses are made by hand.
#include "studies/int8_measures.hpp"

#include <cmath>

#include "base/check.hpp"
#include "base/rng.hpp"
#include "studies/quick_manifest.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::studies;
using Catch::Contains;

namespace {

using enum Int8Form;

Manifest manifest() {
  return quick_manifest("int8");
}

void set(Int8Arm& arm, Int8Form form, double rise, double sd = 0) {
  Int8Arm::InForm& to = arm.forms[static_cast<std::size_t>(form)];
  to.rise = rise;
  to.samples.clear();
  const Rng rng(static_cast<std::uint64_t>(form), 1);
  for (std::uint64_t r = 0; r < 4000; ++r) to.samples.push_back(rise + sd * rng.normal(r));
}

// As theory has it: the square of the scale where outliers reach the product, nothing where they are taken out.
Int8Arm arm_at(double scale) {
  Int8Arm arm;
  const double vector_rise = 0.5 * std::pow(scale / 128, 2);
  for (std::size_t f = 0; f < kInt8Forms.size(); ++f) set(arm, static_cast<Int8Form>(f), 1e-4, 1e-5);
  set(arm, absmax_tensor, 10 * vector_rise, 0.1 * vector_rise);
  set(arm, absmax_row, 1.05 * vector_rise, 0.01 * vector_rise);
  set(arm, absmax_vector, vector_rise, 0.01 * vector_rise);
  set(arm, zeropoint_vector, vector_rise / 2, 0.01 * vector_rise);
  set(arm, llm, vector_rise / 20, 0.01 * vector_rise);  // as published
  set(arm, llm_calibrated, 2e-4, 1e-5);
  arm.float_bytes = 400;
  for (auto& form : arm.forms) form.bytes = 104;
  return arm;
}

Int8Planted planted(const std::string& model, bool one_signed) {
  Int8Planted p{model, 1e6, one_signed, planted_scales(manifest()), {}};
  for (const double s : p.scales) p.arms.push_back(arm_at(one_signed ? 2 * s : s));
  return p;
}

// Two models, in both kinds.
PlantedModels two_models() {
  return {planted("a", false), planted("a", true), planted("b", false), planted("b", true)};
}

Int8Arm& judged_arm(Int8Planted& p) {
  const double scale = judged_scale(manifest(), p.one_signed);
  return p.arms[static_cast<std::size_t>(std::log2(scale))];
}

Finding judged(Finding f) {
  std::vector<Finding> all = {std::move(f)};
  judge(all, {{"planted", true, true, "found"}});
  return all[0];
}

using OfPlanted = Finding (*)(Claim, const PlantedModels&, const Manifest&);
constexpr OfPlanted kOfPlanted[] = {broken_by_outliers, in_order, as_bad_by_rows, mended, squared, edge_gone};

Verdict verdict(OfPlanted claim, const PlantedModels& models) {
  return judged(claim({"C"}, models, manifest())).verdict;
}

}  // namespace

TEST_CASE("scales are powers of two up to the highest") {
  CHECK(planted_scales(manifest()) == std::vector<double>{1, 2, 4, 8, 16, 32, 64, 128});
  CHECK_THROWS_AS(planted("a", false).at(3), ContractError);
  CHECK(planted("a", true).name() == "a, one-signed");
  CHECK(planted("a", false).largest_rise(absmax_tensor) == Approx(5));
}

TEST_CASE("what is as the paper says is reproduced, by as many numbers as there are models") {
  const PlantedModels models = two_models();
  std::vector<std::size_t> numbers;
  for (const OfPlanted claim : kOfPlanted) {
    const Finding f = judged(claim({"C"}, models, manifest()));
    INFO(f.why);
    CHECK(f.verdict == Verdict::reproduced);
    numbers.push_back(f.measures.size());
    for (const Measure& m : f.measures) CHECK(m.samples.size() == 4000);
    for (const Measure& m : f.measures)
      if (!std::isnan(m.null)) CHECK(m.least > 0);
  }
  CHECK(numbers == std::vector<std::size_t>{4, 12, 12, 8, 2, 4});
}

TEST_CASE("one model alone reproduces nothing, and none tests nothing") {
  PlantedModels one = two_models();
  one.resize(2);
  for (const OfPlanted claim : kOfPlanted) {
    CHECK(verdict(claim, one) == Verdict::partial);
    const Finding none = judged(claim({"C"}, {}, manifest()));
    CHECK(none.verdict == Verdict::not_testable);
    CHECK_THAT(none.why, Contains("256 channels"));
  }
  const Int8Natural natural{"a", arm_at(1)};
  CHECK(judged(harmless({"C"}, {natural}, manifest())).verdict == Verdict::partial);
  CHECK(judged(smaller({"C"}, {natural}, manifest())).verdict == Verdict::partial);
}

TEST_CASE("numbers are those that one works out by hand") {
  const PlantedModels models = {planted("a", false)};
  const Manifest m = manifest();
  const auto value = [&](OfPlanted claim, std::size_t i) {
    return claim({"C"}, models, m).measures[i].value;
  };
  CHECK(value(broken_by_outliers, 0) == Approx(0.5));
  CHECK(value(broken_by_outliers, 1) == Approx(10));
  CHECK(value(in_order, 0) == Approx(4.5));
  CHECK(value(in_order, 1) == Approx(0.25));
  CHECK(value(in_order, 2) == Approx(0.25 - 2e-4));
  CHECK(value(as_bad_by_rows, 0) == Approx(1.05));
  CHECK(value(squared, 0) == Approx(2));
  CHECK(value(edge_gone, 0) == Approx(1e-4 / 0.25));
  CHECK_THAT(broken_by_outliers({"C"}, models, m).measures[0].name, Contains("a, two-signed x 128"));
  CHECK_THAT(in_order({"C"}, {planted("a", true)}, m).measures[0].name, Contains("a, one-signed x 64"));
}

TEST_CASE("decomposition is judged by its largest rise, calibrated") {
  PlantedModels models = two_models();
  CHECK(models[0].largest_rise(llm) > 0.01);  // as published, which is not what is judged
  Finding f = mended({"C"}, models, manifest());
  CHECK(f.measures[0].value == Approx(2e-4));
  CHECK(f.measures[1].value == Approx(1e-4));
  for (Int8Planted& p : models) set(p.arms[3], llm_calibrated, 6e-4, 1e-5);
  f = judged(mended({"C"}, models, manifest()));
  CHECK(f.measures[0].value == Approx(6e-4));
  CHECK(f.verdict == Verdict::partial);  // not in the band, and far from what falsifies it
  for (Int8Planted& p : models)
    for (const Int8Form form : {llm_calibrated, row_decomposition_calibrated})
      set(p.arms[3], form, 0.03, 1e-3);
  CHECK(verdict(mended, models) == Verdict::contradicted);
  for (Int8Planted& p : models)
    for (const Int8Form form : {llm_calibrated, row_decomposition_calibrated})
      set(p.arms[3], form, 5e-3, 4e-3);
  CHECK(verdict(mended, models) == Verdict::underpowered);
  // Of each resample the largest over the scales.
  Int8Planted two = models[0];
  two.scales.resize(2), two.arms.resize(2);
  two.arms[0].forms[static_cast<std::size_t>(llm_calibrated)].samples = {1, 5};
  two.arms[1].forms[static_cast<std::size_t>(llm_calibrated)].samples = {3, 2};
  CHECK(mended({"C"}, {two}, manifest()).measures[0].samples == std::vector<double>{3, 5});
}

TEST_CASE("what is turned around is contradicted, what is nothing is not at this scale") {
  PlantedModels turned = two_models(), flat = two_models();
  for (Int8Planted& p : turned) {
    Int8Arm& arm = judged_arm(p);
    set(arm, absmax_tensor, 0.1, 1e-3), set(arm, absmax_vector, 0.2, 1e-3);
    set(arm, zeropoint_vector, 0.3, 1e-3), set(arm, llm_calibrated, 0.4, 1e-3);
  }
  CHECK(verdict(in_order, turned) == Verdict::contradicted);
  for (Int8Planted& p : flat)
    for (Int8Arm& arm : p.arms)
      for (const Int8Form form :
           {absmax_tensor, absmax_row, absmax_vector, zeropoint_vector, llm, llm_calibrated})
        set(arm, form, 1e-3 + 1e-6 * static_cast<double>(form), 1e-5);
  CHECK(verdict(broken_by_outliers, flat) == Verdict::not_at_this_scale);
  CHECK(verdict(in_order, flat) == Verdict::not_at_this_scale);
  CHECK(verdict(squared, flat) == Verdict::not_at_this_scale);
  for (Int8Planted& p : turned) {  // the edge of zeropoint is as large as ever
    Int8Arm& arm = judged_arm(p);
    set(arm, absmax_vector, 0.3, 1e-4), set(arm, zeropoint_vector, 0.2, 1e-4);
    set(arm, llm_calibrated, 0.2, 1e-4), set(arm, llm_zeropoint_calibrated, 0.11, 1e-4);
  }
  CHECK(verdict(edge_gone, turned) == Verdict::not_at_this_scale);
  for (Int8Planted& p : turned) set(judged_arm(p), llm_zeropoint_calibrated, 0.05, 1e-4);
  CHECK(verdict(edge_gone, turned) == Verdict::contradicted);
  for (Int8Planted& p : turned)  // a slope that falls
    for (std::size_t i = 0; i < p.arms.size(); ++i)
      set(p.arms[i], absmax_vector, std::pow(0.5, static_cast<double>(i)), 1e-4);
  CHECK(verdict(squared, turned) == Verdict::contradicted);
}

TEST_CASE("resamples that are no number are counted, and speak against what is asked") {
  PlantedModels models = two_models();
  auto& samples = models[0].arms[4].forms[static_cast<std::size_t>(absmax_vector)].samples;  // of scale 16
  for (std::size_t r = 0; r < samples.size() / 2; ++r) samples[r] = -1e-6;
  const Finding f = judged(squared({"C"}, models, manifest()));
  CHECK(f.measures[0].undefined == 0.5);
  CHECK(f.measures[0].samples.size() == samples.size() / 2);
  CHECK(f.measures[1].undefined == 0);
  CHECK(f.verdict == Verdict::underpowered);
}

TEST_CASE("of several models the odd one out leaves a claim PARTIAL") {
  PlantedModels models = two_models();
  set(judged_arm(models[2]), absmax_row, 0.6 * 0.5, 1e-3);
  CHECK(verdict(as_bad_by_rows, models) == Verdict::partial);
  models = two_models();
  set(judged_arm(models[1]), llm_calibrated, 0.4,
      1e-3);  // in one model LLM.int8() is worse than zeropoint vector-wise
  CHECK(verdict(in_order, models) == Verdict::partial);
}

TEST_CASE("models as they are: both treatments, and bytes as they were counted") {
  const Manifest m = manifest();
  Int8Arm arm = arm_at(0.125);
  std::vector<Int8Natural> natural = {{"a", arm}, {"b", arm}};
  Finding f = judged(harmless({"C"}, natural, m));
  CHECK(f.measures.size() == 4);
  CHECK(f.verdict == Verdict::reproduced);
  for (Int8Natural& n : natural) set(n.arm, llm, 0.005, 1e-4);
  CHECK(judged(harmless({"C"}, natural, m)).verdict == Verdict::partial);
  for (Int8Natural& n : natural)
    for (const Int8Form form : {llm, llm_calibrated}) set(n.arm, form, 0.02, 1e-4);
  CHECK(judged(harmless({"C"}, natural, m)).verdict == Verdict::contradicted);

  f = judged(smaller({"C"}, natural, m));
  CHECK(f.measures[0].value == Approx(0.26));
  CHECK(f.verdict == Verdict::reproduced);
  natural[0].arm.forms[static_cast<std::size_t>(llm_calibrated)].bytes = 200;
  CHECK(judged(smaller({"C"}, natural, m)).verdict == Verdict::partial);
}
