mod conformance;
mod embedded;
