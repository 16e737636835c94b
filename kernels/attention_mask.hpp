// Which keys a query of attention sees: always an interval, so that whole blocks outside it are skipped.
#pragma once
#include "kernels/matrix.hpp"

namespace loglog::kernels {

struct Interval {
  Index first, last;  // [first, last), empty where they are equal
};

inline constexpr Index kUnlimited = Index{1} << 40;

// The query at position t sees the keys [t + 1 - window, max(t + 1, prefix)) of those that there are. Positions count keys;
// the last query stands at the last key, so with as many queries as keys query t stands at key t.
//
//   causal()      0 .. t
//   full()        all
//   prefix_of(P)  0 .. t, and the first P keys: these see each other fully
//   window_of(W)  the last W keys up to t
//
// Both ends ascend with t, so the queries that see a key are an interval too.
struct AttentionMask {
  Index window = kUnlimited;  // 1 .. kUnlimited
  Index prefix = 0;           // 0 .. kUnlimited

  static constexpr AttentionMask causal() { return {}; }
  static constexpr AttentionMask full() { return {kUnlimited, kUnlimited}; }
  static constexpr AttentionMask prefix_of(Index keys) { return {kUnlimited, keys}; }
  static constexpr AttentionMask window_of(Index keys) { return {keys, 0}; }

  // Keys that `query` of `queries` sees.
  [[gnu::always_inline]] constexpr Interval keys_of(Index query, Index queries, Index keys) const {
    const Index next = query + keys - queries + 1;
    return {clamp(next - window, keys), clamp(next > prefix ? next : prefix, keys)};
  }
  // Queries that see `key` of `keys`.
  [[gnu::always_inline]] constexpr Interval queries_of(Index key, Index queries, Index keys) const {
    const Index own = key - keys + queries;  // the query that stands at this key
    return {key < prefix ? 0 : clamp(own, queries), clamp(own + window, queries)};
  }

 private:
  [[gnu::always_inline]] static constexpr Index clamp(Index i, Index count) {
    return i < 0 ? 0 : i > count ? count : i;
  }
};

}  // namespace loglog::kernels
