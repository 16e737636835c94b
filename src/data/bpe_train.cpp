#include "data/bpe_train.hpp"

#include <algorithm>
#include <queue>
#include <tuple>

#include "base/check.hpp"

namespace loglog::data {
namespace {

using Pair = std::pair<Token, Token>;

struct PairHash {
  std::size_t operator()(const Pair& p) const {
    const auto both = static_cast<std::uint64_t>(static_cast<std::uint32_t>(p.first)) << 32 |
                      static_cast<std::uint32_t>(p.second);
    return static_cast<std::size_t>(both * 0x9E3779B97F4A7C15ull >> 16);
  }
};

// A piece as the tokens that it consists of so far.
struct Word {
  std::vector<Token> tokens;
  std::int64_t count;
};

// How often each pair occurs, and in which words it may.
class Pairs {
 public:
  explicit Pairs(std::vector<Word>& words) : words_(words) {
    for (std::size_t w = 0; w < words_.size(); ++w) count(w, 1);
    for (const auto& [pair, entry] : entries_) offer(pair, entry.count);
  }

  struct Best {
    Pair pair;
    std::int64_t count;
  };
  // The most frequent one that occurs at least twice.
  std::optional<Best> best() {
    while (!queue_.empty()) {
      const Offer top = queue_.top();
      const auto found = entries_.find(top.pair);
      const std::int64_t now = found == entries_.end() ? 0 : found->second.count;
      if (now == top.count && now >= 2) return Best{top.pair, now};
      queue_.pop();  // counted anew since it was offered, and offered again then if there was more of it
    }
    return {};
  }

  void merge(const Pair& pair, Token result) {
    std::vector<std::size_t> in = std::move(entries_.at(pair).words);
    std::sort(in.begin(), in.end());
    in.erase(std::unique(in.begin(), in.end()), in.end());
    changed_.clear();
    for (const std::size_t w : in) {
      count(w, -1);
      replace(words_[w].tokens, pair, result);
      count(w, 1);
    }
    entries_.erase(pair);
    std::sort(changed_.begin(), changed_.end());
    changed_.erase(std::unique(changed_.begin(), changed_.end()), changed_.end());
    for (const Pair& p : changed_)
      if (const auto found = entries_.find(p); found != entries_.end()) offer(p, found->second.count);
  }

 private:
  struct Entry {
    std::int64_t count = 0;
    std::vector<std::size_t> words;
  };
  struct Offer {
    std::int64_t count;
    Pair pair;
    bool operator<(const Offer& other) const {  // the largest count, then the smallest pair, is on top
      return std::tie(count, other.pair) < std::tie(other.count, pair);
    }
  };

  void offer(const Pair& pair, std::int64_t count) { queue_.push({count, pair}); }

  void count(std::size_t w, int sign) {
    const Word& word = words_[w];
    for (std::size_t i = 0; i + 1 < word.tokens.size(); ++i) {
      const Pair pair{word.tokens[i], word.tokens[i + 1]};
      Entry& entry = entries_[pair];
      entry.count += sign * word.count;
      if (sign > 0 && (entry.words.empty() || entry.words.back() != w)) entry.words.push_back(w);
      changed_.push_back(pair);
    }
  }

  static void replace(std::vector<Token>& tokens, const Pair& pair, Token result) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const bool here = i + 1 < tokens.size() && tokens[i] == pair.first && tokens[i + 1] == pair.second;
      tokens[kept++] = here ? result : tokens[i];
      if (here) ++i;
    }
    tokens.resize(kept);
  }

  std::vector<Word>& words_;
  std::unordered_map<Pair, Entry, PairHash> entries_;
  std::priority_queue<Offer> queue_;
  std::vector<Pair> changed_;
};

}  // namespace

void BpeTrainer::count(std::string_view piece) {
  const auto known = counts_.find(piece);
  if (known != counts_.end()) {
    ++known->second;
  } else {
    counts_.emplace(piece, 1);
  }
}

void BpeTrainer::add(std::string_view chunk) {
  waiting_ += chunk;
  const std::size_t done = splitter_.split(waiting_, true, [&](std::string_view piece) { count(piece); });
  waiting_.erase(0, done);
}

void BpeTrainer::finish_text() {
  splitter_.split(waiting_, false, [&](std::string_view piece) { count(piece); });
  waiting_.clear();
}

std::optional<Bpe> BpeTrainer::train(Token vocab_size, const std::function<bool()>& stop,
                                     const std::vector<std::string>& specials) const {
  const Token wanted = vocab_size - static_cast<Token>(specials.size());
  LOGLOG_CHECK(waiting_.empty() && wanted >= 256, "{} bytes wait, {} tokens, {} of them special",
               waiting_.size(), vocab_size, specials.size());
  std::vector<std::string> bytes_of;
  for (int byte = 0; byte < 256; ++byte) bytes_of.emplace_back(1, static_cast<char>(byte));
  std::vector<Word> words;
  for (const auto& [piece, count] : counts_) {
    Word word{{}, count};
    for (const char c : piece) word.tokens.push_back(static_cast<unsigned char>(c));
    words.push_back(std::move(word));
  }
  Pairs pairs(words);
  std::vector<Bpe::Merge> merges;
  std::unordered_map<std::string, Token> ids;
  for (Token byte = 0; byte < 256; ++byte) ids.emplace(bytes_of[static_cast<std::size_t>(byte)], byte);
  while (static_cast<Token>(bytes_of.size()) < wanted) {
    if (stop()) return {};
    const auto best = pairs.best();
    if (!best) break;
    const auto [left, right] = best->pair;
    const std::string both =
        bytes_of[static_cast<std::size_t>(left)] + bytes_of[static_cast<std::size_t>(right)];
    // Another way to the same bytes leads to the same token: files name tokens by their bytes.
    const auto [known, is_new] = ids.try_emplace(both, static_cast<Token>(bytes_of.size()));
    const Token result = known->second;
    if (is_new) bytes_of.push_back(both);
    merges.push_back({left, right, result});
    pairs.merge(best->pair, result);
  }
  std::vector<Bpe::Special> placed;
  for (const std::string& text : specials) {
    placed.push_back({text, static_cast<Token>(bytes_of.size())});
    bytes_of.push_back(text);
  }
  return Bpe(std::move(bytes_of), std::move(merges), splitter_.expression(), std::move(placed));
}

}  // namespace loglog::data
