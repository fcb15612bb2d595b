// What a page would do: listen to the element's events, and use track for its own signals.
import * as afterword from "/feedback/afterword.js";

window.afterword = afterword;
window.said = [];
for (const name of ["feedback", "sent", "error", "restored"]) {
  document.addEventListener(`afterword:${name}`, (event) => window.said.push([name, event.detail]));
}

// The contrast of every text and drawing of the element to what is behind it, by WCAG's formula.
window.contrasts = () => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    const linear = [...canvas.getImageData(0, 0, 1, 1).data].map((each) => {
      return each <= 10 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (node) => {
    const above = node.parentElement ?? node.getRootNode().host;
    const colour = getComputedStyle(node).backgroundColor;
    return above ? [...behind(above), colour] : [colour];
  };
  const found = {};
  const root = document.querySelector("afterword-feedback").shadowRoot;
  for (const node of root.querySelectorAll("button, [part=title], [part=status], textarea")) {
    if (!node.checkVisibility()) continue;
    const back = behind(node);
    const lights = [light(back), light([...back, getComputedStyle(node).color])];
    const ratio = (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
    found[node.ariaLabel ?? node.textContent] = ratio;
  }
  return found;
};
