// The page of a study: Markdown and pictures.
#pragma once
#include "base/file.hpp"
#include "studies/study.hpp"

namespace loglog::studies {

// Verdicts, controls, tables and figures; figures as FIGURES/NAME.svg.
std::string markdown(const Result& result, const std::string& figures);

// Makes NAME.md, NAME.json and NAME/FIGURE.svg in the folder. Without gnuplot the page has no pictures, and says so.
void write_page(FileSystem& fs, const Path& folder, const Result& result);

}  // namespace loglog::studies
