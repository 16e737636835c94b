// Which source each training window comes from, when sources are mixed by weights.
//
// The order is a fixed schedule of one period, repeated: of n windows drawn, source k has given w_k n up to less than one window,
// for every n. Nothing is random, so a run resumes by number and shares hold in every stretch.
//
// Source: Baruah, Cohen, Plaxton, Varvel 1996, "Proportionate progress" (the m-th window of a source may come from slot
// floor(m / w) on and must have come by slot ceil((m + 1) / w); the earliest deadline first meets all of them).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/token_file.hpp"

namespace loglog::data {

class Mixture {
 public:
  // Whole weights, one per source, some above 0. UsageError when their sum, divided by what they have in common, is more than
  // kMostSlots.
  explicit Mixture(std::vector<std::uint64_t> weights);

  // "name=weight,...": weights are decimal numbers above 0, in any unit; sources that are not named have weight 0. UsageError
  // for unknown names (with the nearest), names that come twice and bad weights.
  static Mixture parse(std::string_view text, std::span<const Source> sources);

  static constexpr std::uint64_t kMostSlots = std::uint64_t{1} << 20;

  struct Place {
    std::size_t source;
    std::uint64_t number;  // among the windows of that source, from 0
  };
  Place at(std::uint64_t i) const noexcept;  // of the i-th window drawn
  double share(std::size_t source) const noexcept;

 private:
  struct Slot {
    std::uint32_t source, number;
  };
  std::vector<std::uint64_t> weights_;
  std::vector<Slot> period_;
};

}  // namespace loglog::data
