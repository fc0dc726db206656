// Package contacts brings people into the address book from the files a
// business has, and back out into a file that any spreadsheet opens.
//
// What it promises:
//
//  1. Every data row is accounted for: it reaches the book, or it is skipped
//     with its row number, column, value and reason. What was cleaned on the
//     way is reported too.
//  2. All or nothing: a file that cannot be read, is of the wrong kind, is too
//     large, or changes while it is read leaves the book as it was.
//  3. Rows are numbered as a spreadsheet shows them: the first line is 1,
//     blank lines count, a record that spans several lines is one row.
//  4. Memory does not grow with the file: it is read twice, in a stream (a
//     workbook over 16 MB is unpacked to disk for that, and vCards are read a
//     third time for their columns). The
//     first pass finds the encoding and a checksum, the second the rows; if
//     the two passes saw different bytes the import is refused.
//  5. One bad row costs one row: a quotation mark that is never closed, a
//     record over 1 MB or a cell over 32 KB does not swallow its neighbours.
//
// A file is what it holds, not what its name says: delimited text, an XLSX
// workbook, vCards, or a plain list of addresses, in the encoding that its byte
// order mark declares or its letters show.
//
// The steps of an import: Inspect shows what was recognised, Import with DryRun
// says what would happen, Import does it. Rows reads the same files as a plain
// mail merge, where each row is its own message. Export writes a file whose
// import gives the same people again.
package contacts
