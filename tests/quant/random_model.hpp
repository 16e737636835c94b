// A model with random weights and a text, run a few sequences at a time.
#pragma once
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "kernels/isa.hpp"
#include "model/gpt.hpp"
#include "support/catch.hpp"

namespace loglog::testing {

struct RandomModel {
  using Index = model::Index;
  static constexpr Index kLayers = 4, kWidth = 64, kContext = 32, kSequences = 8;

  model::Gpt gpt;
  int threads;
  kernels::Scratch scratch;
  std::vector<std::int32_t> tokens, targets;

  explicit RandomModel(const std::string& norm = "layernorm", Index per_pass = kSequences, int t = 1,
                       bool tied = true)
      : gpt(config_of(norm, tied), {per_pass, kContext}),
        threads(t),
        scratch(gpt.scratch_bytes(kernels::select_table("auto"), t)) {
    gpt.initialise(11);
    for (std::uint64_t i = 0; i < kSequences * kContext; ++i) {
      tokens.push_back(static_cast<std::int32_t>(Rng(2, 1).below(i, 50)));
      targets.push_back(static_cast<std::int32_t>(Rng(2, 2).below(i, 50)));
    }
  }

  // The losses. `probe` may be null.
  std::vector<float> run(nn::Probe* probe) {
    kernels::ExecContext ctx{kernels::select_table("auto"), threads, scratch};
    std::vector<float> losses(tokens.size());
    const Index step = gpt.shape().batch;
    for (Index first = 0; first < kSequences; first += step)
      gpt.forward(ctx, step, tokens.data() + first * kContext, targets.data() + first * kContext,
                  losses.data() + first * kContext, {}, probe);
    return losses;
  }

  kernels::MatrixRef parameter(const std::string& name) {
    for (const model::NamedParameter& p : gpt.parameters())
      if (p.name == name) return {p.tensor.value, p.tensor.rows, p.tensor.cols};
    FAIL("no parameter " << name);
    return {};
  }

  // Channel j of both norms of every block times s, the rows of what reads it over s: a power of two changes no output.
  void plant(const std::vector<Index>& channels, float s) {
    for (Index b = 0; b < kLayers; ++b) {
      for (const auto& [norm, reader] :
           {std::pair{"attention.norm", "attention.qkv"}, std::pair{"mlp.norm", "mlp.up"}}) {
        const std::string block = "blocks." + std::to_string(b) + ".";
        const kernels::MatrixRef gain = parameter(block + norm + ".gain"),
                                 weight = parameter(block + reader + ".weight");
        for (const Index j : channels) {
          gain.data[j] *= s;
          for (Index i = 0; i < weight.cols; ++i) weight.data[j * weight.cols + i] /= s;
        }
      }
    }
    gpt.values_changed();
  }

 private:
  static model::ModelConfig config_of(const std::string& norm, bool tied) {
    model::ModelConfig m;
    m.layers = kLayers;
    m.width = kWidth;
    m.heads = 4;
    m.context = kContext;
    m.vocab = 50;
    m.norm = norm;
    m.bias = norm == "layernorm";
    m.tied = tied;
    return m;
  }
};

}  // namespace loglog::testing
