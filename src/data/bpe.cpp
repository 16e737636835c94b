#include "data/bpe.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <queue>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::data {
namespace {

constexpr std::size_t kCertain = 32;  // bytes of text behind a piece that make it certain
constexpr std::size_t kWindow = PieceSplitter::kLongestPiece + kCertain;  // that one match looks at
// Ways that the matcher may try from one place: many more than bytes that it looks at, which are what an expression without
// nested repetitions needs.
constexpr std::uint32_t kMostTries = 1'000'000;
constexpr std::size_t kKnownPieces = 1 << 16;
constexpr std::size_t kKnownBytes = 64;  // of a piece worth remembering

std::uint64_t key_of(Token left, Token right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

}  // namespace

struct PieceSplitter::Compiled {
  pcre2_code* code = nullptr;
  pcre2_match_data* match = nullptr;
  pcre2_match_context* limits = nullptr;
  ~Compiled() {
    pcre2_match_context_free(limits);
    pcre2_match_data_free(match);
    pcre2_code_free(code);
  }
};

PieceSplitter::PieceSplitter(std::string_view expression)
    : expression_(expression), compiled_(std::make_unique<Compiled>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &error, &offset, nullptr);
  if (compiled_->code == nullptr) {
    unsigned char message[256];
    pcre2_get_error_message(error, message, sizeof message);
    throw UsageError(fmt::format("the expression '{}' is none from byte {} on: {}", expression, offset,
                                 reinterpret_cast<const char*>(message)));
  }
  pcre2_jit_compile(compiled_->code, PCRE2_JIT_COMPLETE);  // where it cannot, matching interprets
  compiled_->match = pcre2_match_data_create_from_pattern(compiled_->code, nullptr);
  compiled_->limits = pcre2_match_context_create(nullptr);
  if (compiled_->match == nullptr || compiled_->limits == nullptr) throw std::bad_alloc();
  pcre2_set_match_limit(compiled_->limits, kMostTries);
}

PieceSplitter::~PieceSplitter() = default;
PieceSplitter::PieceSplitter(PieceSplitter&&) noexcept = default;
PieceSplitter& PieceSplitter::operator=(PieceSplitter&&) noexcept = default;

namespace {

// The last place up to kLongestPiece behind `begin` where no character is cut, of text that goes on behind it.
std::size_t longest_piece_end(std::string_view text, std::size_t begin) {
  const std::size_t end = begin + PieceSplitter::kLongestPiece;
  for (std::size_t at = end; at + 4 > end; --at)
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) return at;
  return end;  // no UTF-8
}

}  // namespace

// A match looks at one window behind what is done, so a text that came in parts has the same pieces.
std::size_t PieceSplitter::split(std::string_view text, bool more,
                                 const std::function<void(std::string_view)>& piece) const {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t done = 0;
  while (done < text.size()) {
    const std::size_t seen = std::min(text.size(), done + kWindow);
    const int found =
        pcre2_match(compiled_->code, subject, seen, done, 0, compiled_->match, compiled_->limits);
    if (found < 0 && found != PCRE2_ERROR_NOMATCH)
      throw InputError(
          fmt::format("a text cannot be cut into pieces by the expression '{}': PCRE2 error {}{}",
                      expression_, found, found == PCRE2_ERROR_MATCHLIMIT ? ", too many ways to match" : ""));
    const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(compiled_->match);
    const bool matched = found >= 0 && bounds[1] > bounds[0];
    const std::size_t first = matched ? bounds[0] : seen, last = matched ? bounds[1] : seen;
    if (more && seen < done + kWindow && last + kCertain > seen) return done;
    std::size_t end = first > done ? first : last;  // what stands in front of the match is a piece of its own
    if (end - done > kLongestPiece) end = longest_piece_end(text, done);
    piece(text.substr(done, end - done));
    done = end;
  }
  return done;
}

Bpe::Bpe(std::vector<std::string> bytes_of, std::vector<Merge> merges, std::string_view expression,
         std::vector<Special> specials)
    : bytes_of_(std::move(bytes_of)),
      merges_(std::move(merges)),
      specials_(std::move(specials)),
      splitter_(expression) {
  const auto is_token = [&](Token token) { return token >= 0 && token < vocab_size(); };
  std::fill(std::begin(token_of_byte_), std::end(token_of_byte_), -1);
  for (Token token = 0; token < vocab_size(); ++token) {
    const std::string& bytes = this->bytes_of(token);
    if (bytes.size() != 1) continue;
    Token& of_byte = token_of_byte_[static_cast<unsigned char>(bytes[0])];
    if (of_byte < 0) of_byte = token;
  }
  for (int byte = 0; byte < 256; ++byte)
    if (token_of_byte_[byte] < 0)
      throw InputError(fmt::format("the vocabulary has no token for byte {}", byte));
  for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
    const Merge& m = merges_[rank];
    if (!is_token(m.left) || !is_token(m.right) || !is_token(m.result))
      throw InputError(fmt::format("merge {}: tokens {}, {}, {} of a vocabulary of {}", rank, m.left, m.right,
                                   m.result, vocab_size()));
    if (this->bytes_of(m.result) != this->bytes_of(m.left) + this->bytes_of(m.right))
      throw InputError(fmt::format("merge {}: token {} is not tokens {} and {} together", rank, m.result,
                                   m.left, m.right));
    if (!ranked_.try_emplace(key_of(m.left, m.right), Ranked{static_cast<Token>(rank), m.result}).second)
      throw InputError(fmt::format("merge {}: tokens {} and {} have one already", rank, m.left, m.right));
  }
  for (const Special& special : specials_) {
    if (special.text.empty() || !is_token(special.id))
      throw InputError(fmt::format("special token '{}' with id {} of a vocabulary of {}", special.text,
                                   special.id, vocab_size()));
  }
}

const Bpe::Ranked* Bpe::merge_of(Token left, Token right) const {
  const auto found = ranked_.find(key_of(left, right));
  return found == ranked_.end() ? nullptr : &found->second;
}

// A list of parts linked both ways and a queue of the merges of neighbours: n log n for n bytes.
void Bpe::encode_piece(std::string_view piece, std::vector<Token>& out) const {
  struct Part {
    Token token;
    int before, behind;
  };
  struct Candidate {
    Token rank;
    int at;
    Token left, right;
    bool operator>(const Candidate& other) const {
      return std::tie(rank, at) > std::tie(other.rank, other.at);
    }
  };
  LOGLOG_CHECK(piece.size() <= PieceSplitter::kLongestPiece, "a piece of {} bytes", piece.size());
  const int count = static_cast<int>(piece.size());
  std::vector<Part> parts;
  for (int i = 0; i < count; ++i)
    parts.push_back({token_of_byte_[static_cast<unsigned char>(piece[static_cast<std::size_t>(i)])], i - 1,
                     i + 1 < count ? i + 1 : -1});
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto part = [&](int i) -> Part& { return parts[static_cast<std::size_t>(i)]; };
  const auto offer = [&](int i) {
    if (i < 0 || part(i).behind < 0) return;
    const Token left = part(i).token, right = part(part(i).behind).token;
    if (const Ranked* merge = merge_of(left, right)) queue.push({merge->rank, i, left, right});
  };
  for (int i = 0; i < count; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Part& left = part(best.at);
    // One of the two may have become part of another token meanwhile.
    if (left.token != best.left || left.behind < 0 || part(left.behind).token != best.right) continue;
    Part& right = part(left.behind);
    left.token = merge_of(best.left, best.right)->result;
    right.token = -1;
    left.behind = right.behind;
    if (left.behind >= 0) part(left.behind).before = best.at;
    offer(best.at);
    offer(left.before);
  }
  for (int i = count > 0 ? 0 : -1; i >= 0; i = part(i).behind) out.push_back(part(i).token);
}

void BpeEncoder::append_piece(std::string_view piece, std::vector<Token>& out) {
  if (piece.size() > kKnownBytes) return bpe_.encode_piece(piece, out);
  auto known = known_.find(piece);
  if (known == known_.end()) {
    if (known_.size() >= kKnownPieces) known_.clear();
    std::vector<Token> tokens;
    bpe_.encode_piece(piece, tokens);
    known = known_.emplace(piece, std::move(tokens)).first;
  }
  out.insert(out.end(), known->second.begin(), known->second.end());
}

void BpeEncoder::encode(std::string_view chunk, std::vector<Token>& out) {
  waiting_ += chunk;
  encode_pieces(true, out);
}

void BpeEncoder::finish(std::vector<Token>& out) {
  encode_pieces(false, out);
}

void BpeEncoder::encode_pieces(bool more, std::vector<Token>& out) {
  const std::size_t done =
      bpe_.splitter().split(waiting_, more, [&](std::string_view piece) { append_piece(piece, out); });
  waiting_.erase(0, done);
}

}  // namespace loglog::data
