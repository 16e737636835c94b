#include "sweep/sqlite.hpp"

#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cmath>

#include "base/check.hpp"
#include "base/error.hpp"

namespace loglog::sweep {
namespace {

// For a lock that another connection holds: asked again every 1 to 4 ms, for at least a minute. SQLite's own handler sleeps for 100 ms
// after a while, and a lock whose holder takes it again at once is free for a tenth of one: of eight writers that are always busy
// some then wait for longer than 30 s.
int ask_again(void*, int times) {
  constexpr int kMost = 60000;
  const auto jitter_us = static_cast<unsigned>((times * 1103515245LL + ::getpid() * 12345LL) >> 8) % 3000U;
  ::usleep(1000 + jitter_us);
  return times < kMost ? 1 : 0;
}

}  // namespace

void throw_sqlite_error(sqlite3* handle, const Path& path, std::string_view what) {
  const int code = sqlite3_errcode(handle) & 0xff;
  const std::string message = fmt::format("store '{}': {}: {}", path.native(), what, sqlite3_errmsg(handle));
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
    throw Error(Exit::store_busy, message + " (another process holds it; try again)");
  }
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) throw InputError(message);
  // Our statements are right: a table that they name is not there, or a text is no JSON.
  if (code == SQLITE_ERROR) throw InputError(message + " (the store is damaged)");
  throw Error(Exit::failed, message);
}

void Database::Close::operator()(sqlite3* handle) const {
  sqlite3_close_v2(handle);
}

Database::Database(const Path& path) : Database(path, path, SQLITE_OPEN_READWRITE) {}

Database::Database(const Path& file, const Path& name)
    : Database(file, name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) {}

Database::Database(const Path& file, const Path& name, int flags) : path_(name) {
  sqlite3* handle = nullptr;
  // Absolute, so that no name is one of SQLite's own (":memory:", "file:...").
  const int code = sqlite3_open_v2(std::filesystem::absolute(file).c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (code != SQLITE_OK) throw_sqlite_error(handle, name, "cannot open");
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_handler(handle, ask_again, nullptr);
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    throw_sqlite_error(handle_.get(), path_, "cannot use it");
  }
}

Statement Database::prepare(std::string_view sql) {
  return Statement(handle_.get(), path_, sql);
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(handle_.get());
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Statement::Statement(sqlite3* handle, const Path& path, std::string_view sql)
    : handle_(handle), path_(&path) {
  sqlite3_stmt* statement = nullptr;
  check(sqlite3_prepare_v2(handle, sql.data(), static_cast<int>(sql.size()), &statement, nullptr),
        "cannot use it");
  statement_.reset(statement);
}

void Statement::check(int code, std::string_view what) {
  if (code != SQLITE_OK) throw_sqlite_error(handle_, *path_, what);
}

void Statement::reset() {
  sqlite3_reset(statement_.get());  // repeats the error of the last step, which was thrown there
}

void Statement::bind_one(int index, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), index + 1, value), "bind");
}

void Statement::bind_one(int index, double value) {
  LOGLOG_CHECK(std::isfinite(value), "{} cannot be stored: SQLite would write NULL", value);
  check(sqlite3_bind_double(statement_.get(), index + 1, value), "bind");
}

void Statement::bind_one(int index, std::string_view value) {
  check(sqlite3_bind_text64(statement_.get(), index + 1, value.data(), value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8),
        "bind");
}

void Statement::bind_one(int index, std::nullopt_t) {
  check(sqlite3_bind_null(statement_.get(), index + 1), "bind");
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) throw_sqlite_error(handle_, *path_, "cannot use it");
  return false;
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double Statement::real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
}

Transaction::Transaction(Database& database) : database_(&database) {
  database.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  try {
    database_->execute("ROLLBACK");
  } catch (const Error&) {  // SQLite has rolled back already, after a full disk for example
  }
}

void Transaction::commit() {
  database_->execute("COMMIT");
  database_ = nullptr;
}

}  // namespace loglog::sweep
