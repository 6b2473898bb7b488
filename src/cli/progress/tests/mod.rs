mod events;
mod plain;
mod screen;
mod shown;
mod streams;
mod text;
mod tty;
