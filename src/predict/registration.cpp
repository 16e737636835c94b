#include "predict/registration.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/child_process.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"

namespace loglog::predict {
namespace {

// What git prints, without the last newline; nothing where it fails or is not there.
std::optional<std::string> git(const Path& folder, std::vector<std::string> words) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::tmpfile(), std::fclose);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> errors(std::tmpfile(), std::fclose);
  if (out == nullptr || errors == nullptr) return std::nullopt;
  words.insert(words.begin(), {"git", "-C", folder.native()});
  ChildProcess child(
      {words, {}, {{fileno(out.get()), STDOUT_FILENO}, {fileno(errors.get()), STDERR_FILENO}}});
  if (!child.started() || child.wait() != 0) return std::nullopt;
  std::rewind(out.get());
  std::string text;
  for (int c = std::fgetc(out.get()); c != EOF; c = std::fgetc(out.get())) text += static_cast<char>(c);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

Registration registration_of(const Path& file, Commit commit) {
  const std::string text = read_input(file);
  Registration r{file.native(), hash_hex(std::as_bytes(std::span(text))), ""};
  const Path folder = file.has_parent_path() ? file.parent_path() : Path(".");
  if (!git(folder, {"rev-parse", "--is-inside-work-tree"})) return r;
  const std::string name = file.filename().native();
  const auto changed = git(folder, {"status", "--porcelain", "--ignored", "--", name});
  const bool is_committed = changed && changed->empty();
  if (!is_committed && commit == Commit::optional) return r;
  if (!is_committed)
    throw RefusedError(fmt::format(
        "{} is not committed as it is: a prediction counts when it stood in the repository before its runs; "
        "commit it first",
        file.native()));
  r.commit = git(folder, {"log", "-1", "--format=%H", "--", name}).value_or("");
  return r;
}

std::string to_json(const Registration& r) {
  return nlohmann::ordered_json{{"file", r.file}, {"hash", r.hash}, {"commit", r.commit}}.dump();
}

}  // namespace loglog::predict
