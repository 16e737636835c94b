// Reads GGUF in tests: by the format's description, not by the writer's code. Any file that it does not understand ends the test.
#pragma once
#include <bit>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace loglog::testing {

class GgufFile {
 public:
  struct Tensor {
    std::vector<std::uint64_t> dimensions;  // neighbours first
    std::uint32_t type;                     // 0: f32, 1: f16
    std::uint64_t offset;
    std::vector<float> values;  // of f32
  };

  explicit GgufFile(std::string bytes) : bytes_(std::move(bytes)) {
    if (take(4) != "GGUF" || number<std::uint32_t>() != 3) fail("no GGUF of version 3");
    const auto tensors = number<std::uint64_t>();
    const auto keys = number<std::uint64_t>();
    for (std::uint64_t i = 0; i < keys; ++i) {
      const std::string key = take_text();
      read_value(key, number<std::uint32_t>());
    }
    for (std::uint64_t i = 0; i < tensors; ++i) {
      Tensor& t = tensors_[take_text()];
      t.dimensions.resize(number<std::uint32_t>());
      for (std::uint64_t& n : t.dimensions) n = number<std::uint64_t>();
      t.type = number<std::uint32_t>();
      t.offset = number<std::uint64_t>();
      if (t.offset % 32 != 0) fail("a tensor off its boundary");
    }
    if (tensors_.size() != tensors) fail("a tensor that is there twice");
    read_data((at_ + 31) / 32 * 32);
  }

  const std::string& text(const std::string& key) const { return texts_.at(key).at(0); }
  double number(const std::string& key) const { return numbers_.at(key).at(0); }
  const std::vector<std::string>& texts(const std::string& key) const { return texts_.at(key); }
  const std::vector<double>& numbers(const std::string& key) const { return numbers_.at(key); }
  const std::map<std::string, Tensor>& tensors() const { return tensors_; }

 private:
  [[noreturn]] static void fail(const char* what) { throw std::runtime_error(what); }
  std::string take(std::uint64_t count) {
    if (count > bytes_.size() - at_) fail("the file ends early");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  template <class Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof(Number)).data(), sizeof(Number));
    return value;
  }
  std::string take_text() { return take(number<std::uint64_t>()); }

  void read_value(const std::string& key, std::uint32_t type) {
    switch (type) {
      case 4:
        return numbers_[key].push_back(number<std::uint32_t>());
      case 5:
        return numbers_[key].push_back(number<std::int32_t>());
      case 6:
        return numbers_[key].push_back(double(number<float>()));
      case 7:
        return numbers_[key].push_back(number<std::uint8_t>());
      case 8:
        return texts_[key].push_back(take_text());
      case 9: {
        const auto element = number<std::uint32_t>();
        const auto count = number<std::uint64_t>();
        for (std::uint64_t i = 0; i < count; ++i) read_value(key, element);
        return;
      }
      default:
        fail("a type that no key of ours has");
    }
  }
  void read_data(std::uint64_t start) {
    std::uint64_t end = start;
    for (auto& [name, t] : tensors_) {
      std::uint64_t count = 1;
      for (const std::uint64_t n : t.dimensions) count *= n;
      const std::uint64_t size = count * (t.type == 0 ? 4 : 2);
      if (start + t.offset + size > bytes_.size()) fail("a tensor beyond the end");
      end = std::max(end, start + t.offset + (size + 31) / 32 * 32);
      if (t.type != 0) continue;
      t.values.resize(count);
      std::memcpy(t.values.data(), bytes_.data() + start + t.offset, size);
    }
    if (end != bytes_.size()) fail("bytes behind the last tensor");
  }

  std::string bytes_;
  std::uint64_t at_ = 0;
  std::map<std::string, std::vector<std::string>> texts_;
  std::map<std::string, std::vector<double>> numbers_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace loglog::testing
