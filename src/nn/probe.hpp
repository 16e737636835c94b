// Looks at what flows through a model while it runs forward, and may change it.
#pragma once
#include <string_view>

#include "kernels/attention.hpp"
#include "kernels/exec.hpp"
#include "tensor/tensor.hpp"

namespace loglog::nn {

// Where there is something to see. The streams are what norms read, the others what products with weights take.
enum class Site { attention_stream, qkv, attention_out, mlp_stream, up, down, head_stream, head };
inline constexpr std::string_view kSiteNames[] = {
    "attention_stream", "qkv", "attention_out", "mlp_stream", "up", "down", "head_stream", "head"};
constexpr std::string_view name_of(Site site) {
  return kSiteNames[static_cast<int>(site)];
}

// `layer` counts blocks; the head's comes behind them.
struct Place {
  Site site;
  kernels::Index layer;
  friend auto operator<=>(const Place&, const Place&) = default;
};

// What a block's attention looked at: queries (R,C) and keys (R, kv_width) as it took them, and log(sum of exp) of each query's scores,
// as kernels/attention.hpp lays it out.
struct SeenAttention {
  tensor::ConstFloatView queries, keys;
  const float* lse;
  kernels::AttentionShape shape;
};

class Probe {
 public:
  virtual ~Probe() = default;
  // All (R, ..), R the rows of the batch. Either may be changed; what follows then takes it as it is. A stream flows on past the
  // branch that reads it, too, but for the mlp_stream of a parallel block: what enters that has passed by already.
  virtual void stream(kernels::ExecContext&, Place, tensor::MatrixView) {}
  virtual void input(kernels::ExecContext&, Place, const tensor::FloatView&) {}
  // Of whole sequences, not of those that go on.
  virtual void attention(kernels::ExecContext&, kernels::Index /*layer*/, const SeenAttention&) {}
};

}  // namespace loglog::nn
