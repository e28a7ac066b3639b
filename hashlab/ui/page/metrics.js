// Charts of processor and memory.
export function showSamples() {}
export function showMarks() {}
