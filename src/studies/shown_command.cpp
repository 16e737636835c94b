#include "studies/shown_command.hpp"

#include "base/file.hpp"
#include "base/shell_word.hpp"

namespace loglog::studies {
namespace {

// "--data=/a/b.tok" is a path behind its option.
std::string without_folders(const std::string& word) {
  const std::size_t begin = word.starts_with('-') ? word.find('=') + 1 : 0;  // npos + 1 is 0
  const Path path(word.substr(begin));
  return path.is_absolute() && path.has_filename() ? word.substr(0, begin) + path.filename().native() : word;
}

}  // namespace

std::string shown_command(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += ' ';
    text += shell_word(i == 0 ? Path(words[i]).filename().native() : without_folders(words[i]));
  }
  return text;
}

}  // namespace loglog::studies
