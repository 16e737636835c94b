// Activations that somebody wrote down: of any framework, as safetensors or as a .npy file of numpy.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "base/file.hpp"
#include "quant/activations/spot.hpp"

namespace loglog::quant {

// Shapes (tokens, channels), a layer, and (layers, tokens, channels). Several tensors of a safetensors file are several layers: by the
// numbers in their names where these say more than their order in the alphabet ("layers.2" before "layers.10"); those that
// `loglog outliers --dump` named keep their site and block. All have the same tokens; those of a site the same channels.
class StoredActivations {
 public:
  // InputError naming file and tensor: neither of the two formats, another shape or type, no numbers, tokens that differ, more than
  // 512 layers.
  explicit StoredActivations(const Path& path);
  ~StoredActivations();

  std::vector<Spot> spots() const;
  std::vector<std::string> sites() const;         // each once
  Index channels(const std::string& site) const;  // 0 for a site that it does not have
  std::uint64_t tokens() const { return tokens_; }
  double largest_tensor_bytes() const;  // in float32, as give() holds it
  // Hands every layer to `sinks`, all rows at once; memory holds one tensor at a time. `stop` is asked before every
  // layer: false when it ended this. InputError when the file is now shorter.
  bool give(const std::vector<ActivationSink*>& sinks, int threads,
            const std::function<bool()>& stop = {}) const;

 private:
  struct Tensor;
  void open_safetensors(const Path& path);
  void open_npy(const Path& path);
  void check_shapes(const Path& path);

  std::vector<Tensor> tensors_;
  std::uint64_t tokens_ = 0;
};

}  // namespace loglog::quant
