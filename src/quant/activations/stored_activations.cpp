#include "quant/activations/stored_activations.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>

#include "base/error.hpp"
#include "io/npy.hpp"
#include "io/safetensors.hpp"
#include "quant/activations/activation_dump.hpp"

namespace loglog::quant {

// One array of the file: a layer, or several that follow each other.
struct StoredActivations::Tensor {
  std::string name;
  std::vector<std::uint64_t> shape;
  std::function<void(std::span<float>)> read;
  Spot first = {};  // of its first layer

  std::uint64_t layers() const { return shape.size() == 3 ? shape[0] : 1; }
  std::uint64_t tokens() const { return shape[shape.size() - 2]; }
  std::uint64_t channels() const { return shape.back(); }
};

StoredActivations::~StoredActivations() = default;

namespace {

constexpr std::uint64_t kMostLayers = 512;

// "layers.10.x" -> {"layers.", 10, ".x"}: names in the order that a reader would give them.
bool reads_before(std::string_view a, std::string_view b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto take_number = [&](std::string_view& text) {
    std::size_t end = 0;
    while (end < text.size() && is_digit(text[end])) ++end;
    std::string_view digits = text.substr(0, end);
    text.remove_prefix(end);
    while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
    return digits;
  };
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      const std::string_view x = take_number(a), y = take_number(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else {
      if (a.front() != b.front()) return a.front() < b.front();
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return a.size() < b.size();
}

// By the magic; a file without it that is called .npy is read as one, to be told what it lacks.
bool is_npy(const Path& path) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  std::string head(kMagic.size(), '\0');
  std::ifstream(path, std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
  return head == kMagic || path.extension() == ".npy";
}

}  // namespace

StoredActivations::StoredActivations(const Path& path) {
  if (is_npy(path))
    open_npy(path);
  else
    open_safetensors(path);
  check_shapes(path);
}

void StoredActivations::open_safetensors(const Path& path) {
  const auto file = std::make_shared<const io::SafetensorsFile>(path);
  for (const io::TensorEntry& entry : file->tensors()) {
    if (entry.dtype == io::Dtype::other)
      throw InputError(fmt::format("'{}': tensor '{}' is of type {}; F32, F16 and BF16 are read",
                                   path.native(), entry.name, entry.dtype_name));
    tensors_.push_back(
        {entry.name, entry.shape, [file, &entry](std::span<float> out) { file->read(entry, out); }});
  }
  std::ranges::sort(tensors_, reads_before, &Tensor::name);
}

void StoredActivations::open_npy(const Path& path) {
  const auto file = std::make_shared<const io::NpyFile>(path);
  tensors_.push_back({"array", file->shape(), [file](std::span<float> out) { file->read(out); }});
}

void StoredActivations::check_shapes(const Path& path) {
  if (tensors_.empty()) throw InputError(fmt::format("'{}' holds no tensor", path.native()));
  std::uint64_t layers = 0;
  Index given = 0;  // layers whose names say nothing are numbered on
  for (Tensor& t : tensors_) {
    const auto reject = [&](const std::string& what) {
      throw InputError(fmt::format("'{}': tensor '{}' of shape [{}] {}", path.native(), t.name,
                                   fmt::join(t.shape, ","), what));
    };
    if (t.shape.size() != 2 && t.shape.size() != 3)
      reject("is neither (tokens, channels) nor (layers, tokens, channels)");
    if (std::ranges::find(t.shape, std::uint64_t{0}) != t.shape.end()) reject("has no numbers");
    // Their sums take 128 KiB each, however small they are.
    if (t.layers() > kMostLayers || (layers += t.layers()) > kMostLayers)
      reject(fmt::format("makes more than {} layers, which no model has", kMostLayers));
    if (tokens_ == 0) tokens_ = t.tokens();
    if (t.tokens() != tokens_)
      reject(fmt::format("has {} tokens, '{}' has {}", t.tokens(), tensors_.front().name, tokens_));
    t.first = t.shape.size() == 2 ? spot_of(t.name, given) : Spot{"given", given};
    if (t.first.site == "given") given += static_cast<Index>(t.layers());
    for (const Tensor& other : tensors_) {
      if (&other == &t) break;
      if (other.first == t.first) reject(fmt::format("is the same layer as '{}'", other.name));
      if (other.first.site == t.first.site && other.channels() != t.channels())
        reject(fmt::format("has {} channels, '{}' has {}", t.channels(), other.name, other.channels()));
    }
  }
}

std::vector<Spot> StoredActivations::spots() const {
  std::vector<Spot> all;
  for (const Tensor& t : tensors_)
    for (std::uint64_t i = 0; i < t.layers(); ++i)
      all.push_back({t.first.site, t.first.layer + static_cast<Index>(i)});
  return all;
}

std::vector<std::string> StoredActivations::sites() const {
  std::vector<std::string> sites;
  for (const Tensor& t : tensors_)
    if (std::ranges::find(sites, t.first.site) == sites.end()) sites.push_back(t.first.site);
  return sites;
}

Index StoredActivations::channels(const std::string& site) const {
  for (const Tensor& t : tensors_)
    if (t.first.site == site) return static_cast<Index>(t.channels());
  return 0;
}

// In floating point: a header may claim more than 64 bits count.
double StoredActivations::largest_tensor_bytes() const {
  double most = 0;
  for (const Tensor& t : tensors_)
    most = std::max(most, static_cast<double>(t.layers()) * static_cast<double>(t.tokens()) *
                              static_cast<double>(t.channels()) * sizeof(float));
  return most;
}

bool StoredActivations::give(const std::vector<ActivationSink*>& sinks, int threads,
                             const std::function<bool()>& stop) const {
  std::vector<float> values;
  for (const Tensor& t : tensors_) {
    const std::uint64_t layer = t.tokens() * t.channels();
    values.resize(t.layers() * layer);
    t.read(values);
    for (std::uint64_t i = 0; i < t.layers(); ++i) {
      if (stop && stop()) return false;
      const kernels::ConstMatrixRef rows(values.data() + i * layer, static_cast<Index>(t.tokens()),
                                         static_cast<Index>(t.channels()));
      const Spot spot{t.first.site, t.first.layer + static_cast<Index>(i)};
      for (ActivationSink* sink : sinks) sink->add(spot, rows, 0, threads);
    }
  }
  for (ActivationSink* sink : sinks) sink->end_rows(static_cast<Index>(tokens_));
  return true;
}

}  // namespace loglog::quant
