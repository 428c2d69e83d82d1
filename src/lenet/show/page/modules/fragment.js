// What is seen, in the address after #: whoever opens the link sees the same.

export function readFragment() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

// Values that are null or empty are left out.
export function writeFragment(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== null && value !== "");
  const text = new URLSearchParams(kept).toString();
  if (location.hash.slice(1) !== text) history.replaceState(null, "", `#${text}`);
}
