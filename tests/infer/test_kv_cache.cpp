#include "infer/kv_cache.hpp"

#include "base/check.hpp"
#include "support/catch.hpp"

using namespace loglog;
using infer::KvCache;
using model::Index;

namespace {

const model::ModelConfig kConfig{
    .layers = 3, .width = 32, .heads = 4, .kv_heads = 2, .context = 8, .vocab = 5};

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
  for (const model::FloatType type : {model::FloatType::float32, model::FloatType::bfloat16}) {
    model::Gpt gpt(kConfig, {1, 8}, type, model::Purpose::inference);
    KvCache cache(gpt, 3, 8);
    // Where the layers have their rows; every byte of a row is the number of its slot, then 9.
    std::vector<std::pair<unsigned char*, std::size_t>> memory;  // and bytes of a row
    gpt.place_memory(3 * 8, tensor::SavedVisitor([&](std::string_view, void* now, Index, Index cols,
                                                     model::FloatType element) {
                       memory.emplace_back(static_cast<unsigned char*>(now),
                                           static_cast<std::size_t>(cols) * kernels::bytes_of(element));
                       return now;
                     }));
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

TEST_CASE("bytes are those of two rows of keys and values per token and layer") {
  const Index kv_width = 2 * 8;  // two heads of 8
  CHECK(KvCache::bytes(kConfig, model::FloatType::float32, 3, 8) ==
        std::size_t(3 * 2 * 3 * 8 * kv_width * 4));
  CHECK(KvCache::bytes(kConfig, model::FloatType::bfloat16, 3, 8) ==
        std::size_t(3 * 2 * 3 * 8 * kv_width * 2));
}
