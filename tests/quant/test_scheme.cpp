// The schemes: what each name means, and what a name that is none gets.
#include "quant/scheme.hpp"

#include <map>
#include <set>

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace loglog;
using namespace loglog::quant;
using Catch::Contains;

namespace {

constexpr auto absmax = kernels::Int8Range::absmax, zeropoint = kernels::Int8Range::zeropoint;
constexpr auto whole = kernels::Int8Scope::tensor, vector = kernels::Int8Scope::vector;
constexpr float kNever = std::numeric_limits<float>::infinity();

// Of a scheme with int8 products: the rows of table 1 of LLM.int8().
struct Meaning {
  kernels::Int8Range range;
  kernels::Int8Scope inputs, weights;
  float threshold = kNever;
  bool whole_columns = false;
  double migration = 0;
};
const std::map<std::string, Meaning> kInt8 = {
    {"absmax-tensor", {absmax, whole, whole}},
    {"zeropoint-tensor", {zeropoint, whole, whole}},
    {"absmax-row", {absmax, vector, whole}},
    {"zeropoint-row", {zeropoint, vector, whole}},
    {"absmax-vector", {absmax, vector, vector}},
    {"zeropoint-vector", {zeropoint, vector, vector}},
    {"row-decomposition", {absmax, vector, whole, 6}},
    {"llm-int8", {absmax, vector, vector, 6}},
    {"llm-int8-zeropoint", {zeropoint, vector, vector, 6}},
    {"llm-int8-paper", {absmax, vector, vector, 6, true}},
    {"llm-int8-zeropoint-paper", {zeropoint, vector, vector, 6, true}},
    {"smoothquant", {absmax, vector, vector, kNever, false, 0.5}},
};

}  // namespace

TEST_CASE("every int8 scheme means what its name says, and no other is one") {
  std::set<std::string> seen;
  for (const Scheme& s : schemes()) {
    INFO(s.name);
    const auto found = kInt8.find(s.name);
    CHECK((s.method == Method::int8) == (found != kInt8.end()));
    if (found == kInt8.end()) continue;
    seen.insert(s.name);
    const Meaning& m = found->second;
    CHECK(s.inputs.range == m.range);
    CHECK(s.weights.range == m.range);
    CHECK(s.inputs.scope == m.inputs);
    CHECK(s.weights.scope == m.weights);
    CHECK(s.threshold == m.threshold);
    CHECK(s.whole_columns == m.whole_columns);
    CHECK(s.migration == m.migration);
    CHECK(s.decomposes() == (m.threshold < kNever));
    CHECK(s.depends_on_batch() == (m.inputs == whole || m.whole_columns));
  }
  CHECK(seen.size() == kInt8.size());
}

TEST_CASE("what is not int8 neither decomposes nor depends on its batch") {
  CHECK(find_scheme("bf16").method == Method::bf16);
  for (const auto& [name, bits] : {std::pair{"weight-int8", 8}, {"weight-int4", 4}}) {
    CHECK(find_scheme(name).method == Method::weight_only);
    CHECK(find_scheme(name).bits == bits);
  }
  CHECK(find_scheme("weight-int8").group == 0);
  CHECK(find_scheme("weight-int4").group == 64);
  for (Scheme s : schemes()) {
    if (s.method == Method::int8) continue;
    s.inputs.scope = whole, s.threshold = 1, s.whole_columns = true;  // mean nothing there
    CHECK_FALSE(s.depends_on_batch());
    CHECK_FALSE(s.decomposes());
  }
}

TEST_CASE("names and titles are unique, and found") {
  std::set<std::string> names, titles;
  for (const Scheme& s : schemes()) {
    CHECK(names.insert(s.name).second);
    CHECK(titles.insert(s.title).second);
    CHECK(&find_scheme(s.name) == &s);
  }
  CHECK(names.contains("llm-int8"));
}

TEST_CASE("a scheme that does not exist is refused with the nearest name, and with all") {
  CHECK_THROWS_AS(find_scheme(""), UsageError);
  CHECK_THROWS_WITH(find_scheme("llm-int9"),
                    Contains("unknown scheme 'llm-int9'; did you mean 'llm-int8'?") &&
                        Contains("absmax-row") && Contains("smoothquant"));
  CHECK_THROWS_WITH(find_scheme("LLM.int8()"), Contains("unknown scheme"));
}
