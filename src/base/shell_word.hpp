// Command lines as text that a shell takes apart into the same words.
#pragma once
#include <string>
#include <vector>

namespace loglog {

std::string shell_word(const std::string& word);  // in single quotes where need be
std::string shell_words(const std::vector<std::string>& words);

}  // namespace loglog
