// Keeps a page of the console as it is on the server: reads it again, and shows what has changed.
"use strict";

const SECONDS = 2;
let shown = "";
let ticks = 0;

function isReading() {
  const selection = document.getSelection();
  return document.hidden || (selection && !selection.isCollapsed);
}

function showChanges(text) {
  if (text === shown) return;
  const page = new DOMParser().parseFromString(text, "text/html");
  const main = page.querySelector("main");
  if (main === null) return;
  const root = document.documentElement;
  const atEnd = root.scrollTop + root.clientHeight >= root.scrollHeight - 4;
  // the first look shows what the page has already
  if (shown !== "" || main.innerHTML !== document.querySelector("main").innerHTML) {
    document.querySelector("main").replaceWith(document.adoptNode(main));
    if (atEnd && main.dataset.follow !== undefined) root.scrollTop = root.scrollHeight;
  }
  shown = text;
}

function showPictures() {
  for (const picture of document.querySelectorAll("img[data-source]")) {
    picture.src = `${picture.dataset.source}?look=${ticks}`;
  }
}

async function look() {
  ticks += 1;
  try {
    if (!isReading()) {
      const answer = await fetch(location.pathname, { cache: "no-store", redirect: "error" });
      showChanges(await answer.text());
      showPictures();
    }
    document.body.classList.remove("lost");
  } catch {
    document.body.classList.add("lost"); // the server has stopped: what is shown is old
  }
  setTimeout(look, SECONDS * 1000);
}

setTimeout(look, SECONDS * 1000);
