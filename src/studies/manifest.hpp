// The thresholds of a study: configs/studies/NAME.toml, built into the program, so that what was asked for before the fact can be
// told by its hash, which covers the models that it is asked of.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.hpp"

namespace loglog::studies {

// What a study can work with as the number of a key, in whichever tables it stands: low <= number <= high.
struct Allowed {
  enum class Kind { number, whole, power_of_two };
  std::string_view key;
  double low, high;
  Kind kind = Kind::number;
};

class Manifest {
 public:
  // The one that the program was built with. UsageError with the nearest name when there is none.
  static Manifest of_study(std::string_view study);
  // Another one in its place: EXPLORATORY, unless it says the same. UsageError with file, line and key when a key is missing, too much, or no
  // finite number.
  static Manifest read(std::string_view study, const Path& path);

  // A key of the table [quick] or [full] where it is there, else of [thresholds]: "ppl_rise_least". ContractError for one that is nowhere.
  double operator()(const std::string& key) const;
  // UsageError with file, key and what is allowed for the first number that is not; ContractError for a key that the list leaves out.
  void require(const std::vector<Allowed>& allowed) const;
  void take_effort(const std::string& effort) { effort_ = effort; }

  // 32 hexadecimal digits: of keys and values, and of the sweeps that the study trains at this effort, to the letter (built_in_sweeps).
  std::string hash(std::string_view effort) const;
  bool exploratory() const { return exploratory_; }
  const std::map<std::string, double>& values() const { return values_; }  // "thresholds.ppl_rise_least"

 private:
  Manifest() = default;
  std::map<std::string, double> values_;
  std::string study_, effort_, name_;  // name_: of its file
  bool exploratory_ = false;
};

}  // namespace loglog::studies
