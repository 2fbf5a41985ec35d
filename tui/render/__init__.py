"""From domain objects to what is drawn: lines of toned text, columns, cells.

Pure: no Textual, no Rich, no clock, no colour. A `Tone` says what a text means; the theme decides how that looks, and
no meaning rests on a tone alone.
"""
