// Small models of every kind of block, with outliers, and what quantisation makes of them in memory.
#pragma once
#include <algorithm>

#include "model/open_model.hpp"
#include "quant/weights.hpp"
#include "support/small_models.hpp"

namespace loglog::testing {

inline constexpr int kVariants = 5;

inline model::ModelConfig quantized_variant(int number) {
  model::ModelConfig m{.layers = 2, .width = 32, .heads = 4, .context = 6, .vocab = 17};
  m.mlp_width = 40;
  switch (number) {
    case 0:  // GPT-2's
      break;
    case 1:  // Llama's
      m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.bias = false, m.tied = false,
      m.kv_heads = 2;
      break;
    case 2:  // GPT-NeoX's
      m.block = "parallel", m.position = "rope", m.rope_share = 0.5, m.tied = false, m.mlp = "gelu-erf";
      break;
    case 3:
      m.mlp = "none", m.position = "none", m.mlp_width = 0;
      break;
    default:  // Qwen2's, with a norm over heads
      m.norm = "rmsnorm", m.position = "rope", m.mlp = "silu", m.bias = false, m.qkv_bias = true,
      m.kv_heads = 1, m.qk_norm = true;
  }
  return m;
}

// The values of a model in memory.
class ValuesOf final : public model::ParameterSource {
 public:
  explicit ValuesOf(const model::Gpt& gpt) : gpt_(gpt) {}
  void read(std::string_view name, std::span<float> out) const override {
    std::ranges::copy_n(parameter(name).value, static_cast<std::ptrdiff_t>(out.size()), out.begin());
  }
  const tensor::Parameter& parameter(std::string_view name) const {
    for (const model::NamedParameter& p : gpt_.parameters())
      if (p.name == name) return p.tensor;
    throw std::logic_error("no such parameter");
  }

 private:
  const model::Gpt& gpt_;
};

// A model as if it had been opened from a file. Gains of two dimensions are large: they are outliers wherever a norm is.
struct OpenedSmallModel {
  SmallModel small;
  model::OpenedModel opened;

  explicit OpenedSmallModel(const model::ModelConfig& m, Index batch = 3)
      : small(m, {batch, m.context}, kernels::select_table("auto")) {
    for (const model::NamedParameter& p : small.gpt.parameters())
      if (p.name.starts_with("blocks.") && p.name.ends_with(".norm.gain"))
        p.tensor.value[5] = 9.0f, p.tensor.value[20] = -25.0f;
    opened.config.model = m;
    model::resolve(opened.config, m.vocab);
    opened.parameters = std::make_shared<ValuesOf>(small.gpt);
  }
  const model::ModelConfig& config() const { return small.config; }
  const ValuesOf& values() const { return static_cast<const ValuesOf&>(*opened.parameters); }
};

// What the linear layers of a model take in one pass of its batch.
inline quant::Calibration calibrated(OpenedSmallModel& model, float threshold = 6.0f) {
  quant::Calibration inputs(threshold);
  quant::CalibrationProbe probe(model.config(), inputs);
  SmallModel& s = model.small;
  s.gpt.forward(s.ctx, s.gpt.shape().batch, s.tokens.data(), s.targets.data(), s.losses.data(), {}, &probe);
  return inputs;
}

// A model that runs with quantised weights, with exactly as much scratch as it says.
struct QuantizedSmallModel {
  quant::CountsByWeight counts;
  model::Gpt gpt;
  kernels::Scratch scratch;
  kernels::ExecContext ctx;

  QuantizedSmallModel(const quant::QuantizedWeights& weights, const model::ModelConfig& m, Index batch,
                      const kernels::KernelTable& table, int threads = 1,
                      kernels::FloatType type = kernels::FloatType::float32)
      : gpt(m, {batch, m.context}, type, model::Purpose::inference, weights.freeze(table, &counts)),
        scratch(gpt.scratch_bytes(table, threads)),
        ctx{table, threads, scratch} {
    model::load_parameters(weights.others(), gpt);
  }
  std::vector<float> losses(Index batch, std::span<const std::int32_t> tokens,
                            std::span<const std::int32_t> targets, nn::Probe* probe = nullptr) {
    std::vector<float> found(static_cast<std::size_t>(batch * gpt.shape().time));
    gpt.forward(ctx, batch, tokens.data(), targets.data(), found.data(), {}, probe);
    return found;
  }
};

}  // namespace loglog::testing
