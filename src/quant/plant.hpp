// Planted outliers: chosen channels of what the products of a block read are made large, and the model computes what it did before.
//
// In each branch of a block, n = z gain + bias (z the normalised stream) is read by one product alone, n W + b: attention's qkv, the
// perceptron's up or gate_up. For a channel j and a power of two s
//
//   two-signed    gain'_j = s gain_j        W'_j. = W_j. / s        bias'_j = s bias_j
//   one-signed    the same, but             bias'_j = s max(bias_j, 4 |gain_j|)
//                 and                       b' = b - sum over j of (max(bias_j, 4 |gain_j|) - bias_j) W_j.
//
// so that n'_j is s n_j, or s n_j and a constant, which is positive wherever |z_j| < 4, whatever the sign of a gain that is not 0: z_j > -4
// is enough where the gain is above 0, z_j < 4 where it is below. The final norm and the head stay as they are.
//
// Two-signed, every bit of the output stays: a power of two commutes with rounding while nothing leaves the normal numbers, of float32
// and of bfloat16. What parameters can show of that is checked; they cannot show a pass in which |z_j gain_j|, or |n_j| in bfloat16, is
// below 2^-126 and not 0: that is rounded more coarsely than s times it.
//
// One-signed, b' is rounded, and sums are of other terms. For the same stream, in float32, n and n' as computed, u = 2^-24, K channels:
//
//   |(n' W' + b') - (n W + b)| <= (K + 6) u (|n| |W| + |n'| |W'| + |b| + |b'|) + K 2^-148       elementwise, both sides as computed
//
// (K + 2) u |n||W| is gemm's (kernels/gemm.hpp), one u more adds the bias, one is that of n_j, one that of b', and one covers what is
// of order u^2. As n'_j W'_j. = (n_j + constant / s) W_j. with a constant in proportion to s, the bound is the same for every s.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/gpt.hpp"

namespace loglog::quant {

using model::Index;

struct Planting {
  double scale = 1;             // s, a power of two from 1 to 2^127
  bool one_signed = false;      // else as many values below 0 as the model had
  std::vector<Index> channels;  // of the residual stream
  std::vector<Index> layers;    // blocks; empty: all
};

// What was planted, and what takes it back.
struct Planted {
  Planting planting;                       // resolved
  std::vector<std::vector<float>> biases;  // one-signed: of changed_biases(), as they were
  std::string checksum;                    // of all parameters as they were: checksum_of()
};

// Puts channels and layers into ascending order and names all layers where none is named. UsageError: a scale that is no power of two,
// a channel or layer that there is not or that is there twice, no channel, and models without a norm gain or, one-signed, without the
// biases that it takes, by key and value.
void resolve(Planting& planting, const model::ModelConfig& config);

// For each channel the root mean square of z gain + bias, z of mean 0 and variance 1, in the norm of these layers where it is least: what
// a channel is sure to have, times the scale, where the data favours none.
std::vector<double> least_rms(const model::Gpt& gpt, std::span<const Index> layers);

// `count` channels, ascending: those that `seed` draws of the half of the channels whose least_rms() is largest (of all, where that half
// is too small). With one seed, more channels of that half are the same ones and others. UsageError when there are fewer.
std::vector<Index> choose_channels(const model::Gpt& gpt, Index count, std::span<const Index> layers,
                                   std::uint64_t seed);

// UsageError as resolve(); and naming tensor and element when a value, or what the norm may write with it (|z| <= sqrt(width)), leaves the
// normal numbers of float32. gpt is then as it was.
Planted plant(model::Gpt& gpt, Planting planting);
// Every parameter as it was before plant(), bit for bit. False when the checksum says that they are not: then gpt or `planted` is not
// what plant() left.
[[nodiscard]] bool undo(model::Gpt& gpt, const Planted& planted);

// The biases that a one-signed planting puts others in place of, in their order: of the norms and of the products that read them.
std::vector<const model::NamedParameter*> changed_biases(const model::Gpt& gpt,
                                                         std::span<const Index> layers);

// XXH3 (128 bits) of the values of all parameters, in order, little-endian.
std::string checksum_of(const model::Gpt& gpt);

}  // namespace loglog::quant
