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

TEST_CASE("bytes are those of two rows of keys and values per token and layer") {
  const Index kv_width = 2 * 8;  // two heads of 8
  CHECK(KvCache::bytes(kConfig, model::FloatType::float32, 3, 8) ==
        std::size_t(3 * 2 * 3 * 8 * kv_width * 4));
  CHECK(KvCache::bytes(kConfig, model::FloatType::bfloat16, 3, 8) ==
        std::size_t(3 * 2 * 3 * 8 * kv_width * 2));
}
