#include "kernels/attention_bf16.hpp"
#include "kernels/isa.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "kernels/table.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

using namespace loglog;
using namespace loglog::kernels;

namespace {

// Families hold function pointers and positive numbers, so no aligned word of 8 bytes is ever all zero.
template <class Family>
Index null_members(const Family* family) {
  REQUIRE(family != nullptr);
  Index nulls = 0;
  for (std::size_t offset = 0; offset + 8 <= sizeof(Family); offset += 8) {
    std::uint64_t word;
    std::memcpy(&word, reinterpret_cast<const char*>(family) + offset, sizeof word);
    nulls += word == 0;
  }
  return nulls;
}

}  // namespace

TEST_CASE("an ISA that is asked for by name is the one that one gets", "[isa]") {
  const std::string name = test_table().name;
  REQUIRE(&select_table(name) == &test_table());
  REQUIRE(
      std::any_of(isa_rows().begin(), isa_rows().end(), [&](const IsaRow& row) { return row.name == name; }));
}

TEST_CASE("auto takes the first ISA that this CPU supports", "[isa]") {
  const auto best =
      std::find_if(isa_rows().begin(), isa_rows().end(), [](const IsaRow& row) { return row.supported; });
  REQUIRE(best != isa_rows().end());
  REQUIRE(&select_table("auto") == best->table);
  REQUIRE(&select_table("") == best->table);
  REQUIRE(isa_rows().back().name == "scalar");
  REQUIRE(isa_rows().back().supported);
}

TEST_CASE("an ISA that does not exist or that the CPU lacks is refused with a list", "[isa]") {
  REQUIRE_THROWS_AS(select_table("avx9"), UsageError);
  REQUIRE_THROWS_WITH(select_table("avx9"),
                      Catch::Matchers::Contains("avx9") && Catch::Matchers::Contains("scalar"));
  REQUIRE_THROWS_AS(select_table("AVX2"), UsageError);
  for (const IsaRow& row : isa_rows()) {
    if (row.supported) continue;
    REQUIRE_THROWS_WITH(select_table(row.name), Catch::Matchers::Contains("lacks it; available: auto"));
  }
}

TEST_CASE("no table holds a null pointer", "[isa]") {
  for (const IsaRow& row : isa_rows()) {
    REQUIRE(row.table != nullptr);
    REQUIRE(row.name == row.table->name);
    REQUIRE(null_members(row.table) == 0);
    REQUIRE(null_members(row.table->gemm_f32) == 0);
    REQUIRE(null_members(row.table->gemm_f32_in_place) == 0);
    REQUIRE(null_members(row.table->gemm_bf16) == 0);
    REQUIRE(null_members(row.table->gemm_s8) == 0);
    REQUIRE(null_members(row.table->attention) == 0);
    REQUIRE(null_members(row.table->attention_rows) == 0);
    REQUIRE(null_members(row.table->rowwise) == 0);
    REQUIRE(null_members(row.table->int8) == 0);
    REQUIRE(null_members(row.table->weight_only) == 0);
    REQUIRE(null_members(row.table->peak) == 0);
  }
}

TEST_CASE("tiles of bfloat16 are such as attention takes", "[isa]") {
  for (const IsaRow& row : isa_rows()) {
    const GemmBf16& gemm = *row.table->gemm_bf16;
    REQUIRE(gemm.nr % gemm.depth_multiple == 0);
    REQUIRE(gemm.mr <= Bf16Attention::kMostTileRows);
  }
}
