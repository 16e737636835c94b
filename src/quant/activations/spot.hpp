// Hidden states and who takes them.
#pragma once
#include <cstdint>
#include <string>
#include <tuple>

#include "kernels/matrix.hpp"

namespace loglog::quant {

using kernels::Index;

// A hidden state: its site (the name of an nn::Site, or "given" for activations of others) and the block that it is in.
struct Spot {
  std::string site;
  Index layer;
  friend bool operator==(const Spot&, const Spot&) = default;
  friend bool operator<(const Spot& a, const Spot& b) {
    return std::tie(a.site, a.layer) < std::tie(b.site, b.layer);
  }
};

// Takes hidden states as a model makes them: some rows of every spot, then the next rows of every spot. A row is a position in a text,
// a column a channel.
class ActivationSink {
 public:
  virtual ~ActivationSink() = default;
  // Rows [first, first + values.rows) of all that this spot gives.
  virtual void add(const Spot& spot, kernels::ConstMatrixRef values, std::uint64_t first, int threads) = 0;
  // Every spot has had these rows.
  virtual void end_rows(Index /*rows*/) {}
};

}  // namespace loglog::quant
