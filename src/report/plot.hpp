// Figures, drawn by gnuplot as a child process.
//
// A Figure is data: what is drawn can be written, tested and embedded beside its picture. gnuplot is needed
// at run time only; without it a report has its tables and says how to get the pictures.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/file.hpp"

namespace loglog::report {

// band fills between y and y2; labels writes the texts of `hover` to the right of the places; cells are those of a regular grid, all of
// them, each filled by the colour of its y2.
enum class Mark { points, rings, line, dashed_line, band, labels, cells };

// Of a figure's finite numbers, in magnitude: the ends of an axis and what lies between them must be numbers too.
inline constexpr double kLargestNumber = 1e300;

struct Series {
  std::string label;  // legend entry; empty for none
  Mark mark = Mark::points;
  int colour = 0;  // index into the palette of unordered things, modulo its size
  std::vector<double> x;
  std::vector<double> y;  // points that are not finite, or not positive on a log axis, are left out
  std::vector<double>
      y2;  // of bands, and of cells: what is not finite, or not positive where colour is logarithmic, is left blank
  std::vector<std::string> hover = {};  // what the browser shows over a point; empty for nothing
  std::optional<double> shade = {};     // 0..1 on the palette of ordered things, instead of `colour`
};

struct Axis {
  std::string label;
  bool log = false;
  std::optional<double> low = {};  // in data units; automatic when empty
  std::optional<double> high = {};
  std::optional<double> tick_step = {};  // from 0 on, of a linear axis; automatic when empty
};

struct Figure {
  std::string name;  // file name without ending, also the id in the page: lower case, digits and '-'
  std::string title;
  std::string caption;
  Axis x;
  Axis y;
  std::vector<Series> series;
  bool legend = true;
  std::string legend_title = {};
  Axis colour = {};  // of cells
};

enum class Format { svg, png, pdf };

// 12.3k, 4.5M, 3e12: for ticks, labels and tables; plain below a thousand.
std::string short_number(double value, int digits = 3);

// The gnuplot commands, data included, that draw `figure` to standard output. Ill-formed text is shown with U+FFFD.
std::string gnuplot_script(const Figure& figure, Format format);

// Whether `gnuplot` can be started.
bool gnuplot_available();

// Draws into memory; no file comes into being, and gnuplot ends when this process does. SVG text and black lines take the
// colour of the surrounding text, so that a page can be dark. RefusedError when gnuplot cannot be started; Error with
// gnuplot's own words when it fails or leaves the picture incomplete.
std::string render(const Figure& figure, Format format);

// What render() made as SVG, for a file of its own: black on white, in dark surroundings light on dark.
std::string svg_document(const std::string& svg);

}  // namespace loglog::report
