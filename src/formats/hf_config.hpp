// config.json of a Hugging Face model: every access names its key, so that what is wrong is refused by file and key, and what nobody
// asked for can be told.
#pragma once
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"
#include "base/flat_json.hpp"
#include "kernels/matrix.hpp"

namespace loglog::formats {

using kernels::Index;

class HfConfig {
 public:
  // InputError when the file cannot be read or is no JSON. A key that is null is as absent.
  explicit HfConfig(const Path& path);

  bool has(const std::string& key) const;  // a value, or an object with something in it
  // InputError when the key is absent, of another type or outside [low, high].
  Index whole(const std::string& key, Index low, Index high) const;
  std::string text(const std::string& key) const;
  // The same, and `usual` where the key is absent. A list or an object is no value (InputError).
  Index whole_or(const std::string& key, Index usual, Index low, Index high) const;
  double real_or(const std::string& key, double usual, double low, double high) const;
  float epsilon_or(const std::string& key, double usual) const;  // of norms, as model.norm_epsilon
  bool flag_or(const std::string& key, bool usual) const;
  std::string text_or(const std::string& key, const std::string& usual) const;

  // InputError naming the key, its value and `why`, unless it is absent or has the one value that is covered.
  void require_flag(const std::string& key, bool usual, bool covered, std::string_view why) const;
  void require_absent(const std::string& key, std::string_view why) const;
  void require_object(const std::string& key) const;  // or nothing
  [[noreturn]] void refuse(const std::string& key, std::string_view what) const;

  // Keys of the first level that were not asked for, without those that never change what a model computes (token ids, dropout, ...).
  std::vector<std::string> unread() const;
  const Path& path() const noexcept { return path_; }

 private:
  const JsonValue* find(const std::string& key) const;  // null where the key is absent

  Path path_;
  FlatJson json_;
  mutable std::set<std::string> read_;
};

}  // namespace loglog::formats
