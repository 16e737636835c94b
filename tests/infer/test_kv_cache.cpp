#include "infer/kv_cache.hpp"

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using infer::KvCache;
using model::Index;
using model::KeyValueType;

namespace {

const model::ModelConfig kConfig{
    .layers = 3, .width = 32, .heads = 4, .kv_heads = 2, .context = 8, .vocab = 5};
constexpr KeyValueType kTypes[] = {KeyValueType::float32, KeyValueType::bfloat16, KeyValueType::int8};

}  // namespace

TEST_CASE("a cache knows where the tokens of each sequence are") {
  model::Gpt gpt(kConfig, {1, 8}, model::FloatType::float32, model::Purpose::inference);
  KvCache cache(gpt, 3, 8);
  REQUIRE(cache.slots() == 3);
  const kernels::AttentionSequence first = cache.append(2, 0, 5);
  CHECK((first.query == 0 && first.queries == 5 && first.key == 16 && first.keys == 5));
  const kernels::AttentionSequence next = cache.append(2, 4, 2);
  CHECK((next.query == 4 && next.queries == 2 && next.key == 16 && next.keys == 7));
  CHECK(cache.length(2) == 7);
  CHECK(cache.length(0) == 0);
  REQUIRE_THROWS_AS(cache.append(2, 0, 2), ContractError);
  cache.truncate(2, 3);
  CHECK(cache.append(2, 0, 5).keys == 8);
  REQUIRE_THROWS_AS(cache.truncate(2, 9), ContractError);
  REQUIRE_THROWS_AS(cache.append(3, 0, 1), ContractError);
  REQUIRE_THROWS_AS(cache.append(0, 0, 0), ContractError);
}

TEST_CASE("a copy has the rows of what was read, in every layer, and no more") {
  for (const KeyValueType type : kTypes) {
    model::Gpt gpt(kConfig, {1, 8}, model::FloatType::float32, model::Purpose::inference);
    KvCache cache(gpt, 3, 8, type);
    // Where the layers have their rows; every byte of a row is the number of its slot, then 9.
    std::vector<std::pair<unsigned char*, std::size_t>> memory;  // and bytes of a row
    gpt.place_memory({3 * 8, type}, [&](std::string_view, void* now, Index, std::size_t row_bytes) {
      memory.emplace_back(static_cast<unsigned char*>(now), row_bytes);
      return now;
    });
    REQUIRE(memory.size() == 6);
    for (const auto& [data, row] : memory)
      for (std::size_t i = 0; i < 24 * row; ++i) data[i] = static_cast<unsigned char>(i / row / 8);
    cache.append(1, 0, 5);
    cache.append(2, 0, 7);
    cache.copy(1, 2, 4);
    CHECK(cache.length(2) == 4);
    CHECK(cache.length(1) == 5);
    for (const auto& [data, row] : memory)
      for (std::size_t i = 0; i < 24 * row; ++i) {
        const std::size_t r = i / row;
        REQUIRE(data[i] == (r >= 16 && r < 20 ? 1 : r / 8));
      }
    REQUIRE_THROWS_AS(cache.copy(1, 2, 6), ContractError);
    REQUIRE_THROWS_AS(cache.copy(1, 1, 2), ContractError);
    REQUIRE_THROWS_AS(cache.copy(1, 3, 2), ContractError);
  }
}

TEST_CASE("bytes are those of two rows of keys and values per token and layer, and those that are taken") {
  const std::size_t rows = 3 * 2 * 3 * 8;  // of two heads of 8
  CHECK(KvCache::bytes(kConfig, KeyValueType::float32, 3, 8) == rows * 2 * 8 * 4);
  CHECK(KvCache::bytes(kConfig, KeyValueType::bfloat16, 3, 8) == rows * 2 * 8 * 2);
  CHECK(KvCache::bytes(kConfig, KeyValueType::int8, 3, 8) == rows * 2 * (8 + 4));  // and a scale
  for (const model::FloatType products : {model::FloatType::float32, model::FloatType::bfloat16}) {
    model::Gpt gpt(kConfig, {1, 8}, products, model::Purpose::inference);
    CHECK(KvCache(gpt, 3, 8).bytes() == KvCache::bytes(kConfig, kernels::key_value_type(products), 3, 8));
    for (const KeyValueType type : kTypes)  // 35 tokens: rows do not end with a cache line
      CHECK(KvCache(gpt, 5, 7, type).bytes() == KvCache::bytes(kConfig, type, 5, 7));
  }
}
