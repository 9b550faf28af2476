### What the shop says in Korean. Both catalogues have the same keys; `language::catalogue` tests that.

## Every page

shop = 주문 상점
skip = 본문으로 건너뛰기
account = 내 계정
my-orders = 주문 내역
languages = 언어
language-name = 한국어
promise = 결제가 확인된 주문만 결제 완료로 표시합니다. 금액은 모두 원화입니다.
moment = { $year }년 { $month }월 { $day }일 { $time }
back-to-shop = 상점으로 돌아가기
continue-shopping = 계속 쇼핑하기

## Products

products = 상품
no-products = 아직 상품이 없습니다.
no-such-product = 상품을 찾을 수 없습니다
no-such-product-text = 판매가 끝났거나 주소가 잘못되었습니다.
stock-left = 재고 { $count }개
sold-out = 품절
sold-out-text = 지금은 구매할 수 없습니다. 다시 입고되면 이 페이지에서 구매할 수 있습니다.

## Checkout

quantity = 수량
email = 이메일 (선택)
email-hint = 결제 서비스가 보내는 영수증을 받을 주소입니다.
payment-method = 결제 수단
needs-script = 결제하려면 자바스크립트를 켜 주세요.
summary = 주문 요약
total = 총 결제 금액
pay = 결제하기
not-started = 결제를 시작하지 못했습니다. 청구된 금액은 없습니다.
being-checked = 이 주문의 결제를 확인하고 있습니다.

## After the payment window

paid = 결제가 완료되었습니다
checking = 결제를 확인하고 있습니다
checking-text = 창을 닫아도 됩니다. 다시 결제하지 마세요. 결과는 곧 이 페이지에 표시됩니다.
awaiting = 입금을 기다리고 있습니다
refunded = 환불된 주문입니다
order = 주문 상품
amount = 결제 금액
order-number = 주문 번호
paid-by = 결제 수단
receipt = 영수증 보기
bank = 은행
bank-account = 계좌번호
due = 입금 기한
try-again = 다시 시도하기

## When it did not work

not-paid = 결제가 완료되지 않았습니다
not-paid-text = 청구된 금액은 없습니다.
declined = 결제가 승인되지 않았습니다
declined-text = 청구된 금액은 없습니다. 다른 결제 수단으로 다시 시도해 주세요.
sold-out-late = 결제 직전에 품절되었습니다
sold-out-late-text = 청구된 금액은 없습니다.
overdue = 주문 시간이 지났습니다
overdue-text = 청구된 금액은 없습니다. 다시 주문해 주세요.
mismatch = 결제 금액이 주문 금액과 다릅니다
mismatch-text = 청구된 금액은 없습니다. 처음부터 다시 주문해 주세요.
wrong-state = 이 주문은 지금 결제할 수 없습니다
wrong-state-text = 이 시도로 청구된 금액은 없습니다.
given-back = 주문이 끝난 뒤의 결제입니다
given-back-text = 결제된 금액이 있으면 환불해 드립니다.
failed = 결제를 완료하지 못했습니다
failed-text = 잠시 후 다시 시도해 주세요.
given-up = 결제를 취소했습니다
given-up-text = 청구된 금액은 없습니다.
no-such-order = 주문을 찾을 수 없습니다
no-such-order-text = 주문할 때 사용한 브라우저에서 다시 열어 주세요.

## Trouble

no-such-page = 페이지를 찾을 수 없습니다
no-such-page-text = 주소가 바뀌었거나 잘못 입력되었습니다.
too-fast = 요청이 너무 많습니다
too-fast-text = 잠시 후 다시 시도해 주세요.
bad-link = 잘못된 주소입니다
bad-link-text = 주소가 온전한지 확인해 주세요.
trouble = 일시적인 문제가 생겼습니다
trouble-text = 잠시 후 다시 시도해 주세요. 결제하던 중이었다면 다시 결제하기 전에 주문 내역을 확인해 주세요.
