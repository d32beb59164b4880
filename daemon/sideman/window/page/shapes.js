// SPDX-License-Identifier: Apache-2.0
// The shapes of notes: each kind has one of its own, so that nothing is said by colour alone.

/** Lay the outline of a note's head around a place. */
export function shapePath(pen, kind, x, y, size) {
  pen.beginPath();
  if (kind === "scale" || kind === "band") pen.rect(x - size, y - size, 2 * size, 2 * size);
  else if (kind === "approach" || kind === "other") {
    const corners = kind === "approach" ? [[0, -1.2], [1.2, 1], [-1.2, 1]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
    corners.forEach(([right, down], index) =>
      pen[index ? "lineTo" : "moveTo"](x + right * size, y + down * size),
    );
    pen.closePath();
  } else pen.arc(x, y, size, 0, 2 * Math.PI);
}
