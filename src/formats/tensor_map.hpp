// How the tensors of other programs correspond to ours. One list of maps serves both directions, so what is written is what would be read.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.hpp"

namespace loglog::formats {

using kernels::Index;

// The order of their outputs (rows of a matrix (out, in), elements of a bias), of a projection to heads.
enum class HeadOrder {
  ours,          // head after head, elements in order
  packed_qkv,    // GPT-NeoX: head by head its query, key and value; ours: all queries, all keys, all values
  rotary_pairs,  // GGUF's llama: neighbours turn together; ours: element i with i + half
};

// A tensor of theirs, and the part of one of ours that it is: theirs (out, in) and ours (in, out) where `transposed`, else alike.
struct TensorMap {
  std::string theirs;
  std::vector<std::uint64_t> shape;  // of theirs; one dimension is a row
  std::string ours;
  bool transposed = false;
  Index first_column = 0;  // in ours
  Index skipped_rows = 0;  // in front of theirs, without counterpart: read over, written as zeros
  HeadOrder order = HeadOrder::ours;
  Index heads = 0;  // of the parts where order is not `ours`
  Index head_size = 0;

  Index elements() const;  // of theirs
  // Whether ours, which is (rows, cols), is theirs as it lies.
  bool is_alike(Index rows, Index cols) const;
};

// Copies what corresponds. theirs.size() == map.elements(); `ours` is the parameter map.ours.
void to_ours(const TensorMap& map, std::span<const float> theirs, const tensor::Parameter& ours);
void to_theirs(const TensorMap& map, std::span<float> theirs, const tensor::Parameter& ours);

// A list in the making. Names of ours are under "blocks.I." or "head." as the caller says.
class TensorMaps {
 public:
  // Alike on both sides.
  TensorMap& matrix(std::string theirs, std::string ours, Index rows, Index cols);
  TensorMap& vector(std::string theirs, std::string ours, Index size, Index first_column = 0);
  // theirs NAME.weight (out, in), and NAME.bias (out) where it has one; columns first_column.. of ours.
  struct Linear {
    Index in, out;
    bool bias;
    Index first_column = 0;
    HeadOrder order = HeadOrder::ours;
    Index heads = 0, head_size = 0;
  };
  void linear(const std::string& theirs, const std::string& ours, const Linear& shape);
  // NAME.weight and NAME.bias to ours NAME.gain and NAME.bias.
  void norm(const std::string& theirs, const std::string& ours, Index width, bool bias);

  std::vector<TensorMap> take() { return std::move(maps_); }

 private:
  std::vector<TensorMap> maps_;
};

}  // namespace loglog::formats
